//! A saturated client against servers that count: who is refused, and how much of the limit is used.

mod path;
mod scenes;
mod servers;
mod world;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pacing::Quota;

use servers::Kind;
use world::{Outcome, Scene};

/// Plays the random scenes of these seeds on two threads, and hands each outcome to `look`.
fn play_each(seeds: u64, look: impl FnMut(&Scene, Outcome) + Send) {
    let look = Mutex::new(look);
    thread::scope(|threads| {
        for first in 0..2 {
            let look = &look;
            threads.spawn(move || {
                for seed in (first..seeds).step_by(2) {
                    let scene = scenes::random(seed);
                    let outcome = scene.send(scenes::requests(&scene));
                    (look.lock().expect("no look panics"))(&scene, outcome);
                }
            });
        }
    });
}

/// What was refused beyond the assumed jitter.
#[derive(Debug, Default)]
struct Beyond {
    scenes: u64,
    sent: u64,
    refused: u64,
}

impl Beyond {
    fn add(&mut self, outcome: Outcome) {
        self.scenes += 1;
        self.sent += outcome.sent;
        self.refused += outcome.refused;
    }
}

#[test]
fn nothing_is_refused_in_10_000_scenes_where_that_is_promised() {
    let (mut broken, mut ungated) = (Vec::new(), 0);
    let [mut large, mut small, mut buckets] = <[Beyond; 3]>::default();
    play_each(10_000, |scene, outcome| {
        ungated += outcome.ungated;
        match (scene.kind, scene.quota.limit()) {
            _ if scenes::is_promised(scene) && outcome.refused == 0 => {}
            _ if scenes::is_promised(scene) => broken.push(format!("{scene:?}: {outcome:?}")),
            (Kind::TokenBucket { .. }, _) => buckets.add(outcome),
            (_, 100..) => large.add(outcome),
            _ => small.add(outcome),
        }
    });
    println!("beyond the assumed jitter, sliding counters of 100 and more: {large:?}");
    println!("beyond the assumed jitter, smaller sliding counters: {small:?}");
    println!("beyond the assumed jitter, token buckets: {buckets:?}");
    assert!(broken.is_empty(), "{}: {}", broken.len(), broken[0]);
    assert!(large.refused * 1_000 <= large.sent, "{large:?}");
    assert_eq!(ungated, 0, "a refusal left the gate open");
}

/// The price of knowing nothing of the server: nine tenths of the limit before anything is learned.
#[test]
fn a_quiet_network_uses_89_percent_of_the_limit() {
    for limit in [100, 1_000, 3_000] {
        let scene = Scene::new(Quota::per_second(limit), Kind::SlidingLog);
        let outcome = scene.play(Duration::from_secs(2), Duration::from_secs(1));
        assert!(
            outcome.rate >= 0.89 * f64::from(limit),
            "{limit}: {}",
            outcome.rate
        );
        assert_eq!(outcome.refused, 0);
    }
}

/// A referee that never refuses would prove nothing: the same client with a quota that is too large is refused.
#[test]
fn every_server_refuses_a_client_that_was_told_too_much() {
    let bucket = Kind::TokenBucket {
        size: 100,
        refill: 100,
    };
    let counters = [Kind::SlidingCounter, Kind::StrictCounter];
    for kind in [Kind::SlidingLog, Kind::FixedWindow, bucket]
        .into_iter()
        .chain(counters)
    {
        let scene = Scene {
            real: Quota::per_second(100),
            ..Scene::new(Quota::per_second(130), kind)
        };
        assert!(scene.send(2_000).refused > 0, "{kind:?} refuses nothing");
    }
}
