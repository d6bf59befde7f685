//! A saturated client against servers that count: who is refused, and how much of the limit is
//! used.

mod hostile;
mod path;
mod rules;
mod scenes;
mod servers;
mod trials;
mod world;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pacing::{Model, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use path::Weather;
use scenes::Case;
use servers::Kind;
use trials::{
    PATHS, blocked_runs_refused, price, refused_after_restarts, share_between_blocks,
    share_with_a_competitor,
};
use world::{Outcome, Scene};

/// Plays the random scenes of these seeds on two threads, and hands each outcome to `look`.
fn play_each(seeds: u64, look: impl FnMut(&Case, Outcome) + Send) {
    let look = Mutex::new(look);
    thread::scope(|threads| {
        for first in 0..2 {
            let look = &look;
            threads.spawn(move || {
                for seed in (first..seeds).step_by(2) {
                    let case = Case::random(seed);
                    let outcome = case.play();
                    (look.lock().expect("no look panics"))(&case, outcome);
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

/// How many random scenes are played: `REFEREE_SCENES`, or a part that a debug build plays in a few
/// seconds.
fn scenes() -> u64 {
    let scenes = std::env::var("REFEREE_SCENES").ok();
    scenes.map_or(4_000, |scenes| {
        scenes.parse().expect("REFEREE_SCENES is a number")
    })
}

#[test]
fn nothing_is_refused_in_random_scenes_where_that_is_promised() {
    let (mut broken, mut ungated) = (Vec::new(), 0);
    let [mut large, mut small, mut buckets] = <[Beyond; 3]>::default();
    play_each(scenes(), |case, outcome| {
        ungated += outcome.ungated;
        match (case.scene.kind, case.scene.quota.limit()) {
            _ if case.is_promised && outcome.refused == 0 => {}
            _ if case.is_promised => broken.push(format!("{case:?}: {outcome:?}")),
            (Kind::TokenBucket { .. }, _) => buckets.add(outcome),
            (_, 100..) => large.add(outcome),
            _ => small.add(outcome),
        }
    });
    println!("{} scenes", scenes());
    println!("beyond the assumed jitter, sliding counters of 100 and more: {large:?}");
    println!("beyond the assumed jitter, smaller sliding counters: {small:?}");
    println!("beyond the assumed jitter, token buckets: {buckets:?}");
    assert!(broken.is_empty(), "{}: {}", broken.len(), broken[0]);
    assert!(large.refused * 1_000 <= large.sent, "{large:?}");
    assert_eq!(ungated, 0, "a refusal left the gate open");
}

/// The price of knowing nothing of the server: a tenth of the limit at first, and then 3 %.
#[test]
fn a_quiet_network_uses_89_percent_of_the_limit_and_97_once_jitter_is_learned() {
    for limit in [100, 1_000, 3_000] {
        for (name, weather) in &PATHS[..2] {
            let price = price(Quota::per_second(limit), *weather, Kind::SlidingLog);
            assert_eq!(price.refused, 0, "{limit} at {name}");
            assert!(price.at_first >= 0.89, "{limit} at {name}: {price:?}");
            assert!(price.learned >= 0.97, "{limit} at {name}: {price:?}");
        }
    }
}

/// The limits, windows and paths of which the price is promised.
fn quiet(seed: u64) -> (Quota, Weather) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let window = Duration::from_secs_f64(rng.random_range(1.0..5.0));
    let quota = Quota::new(rng.random_range(100..1_000), window);
    let weather = Weather {
        least: Duration::from_millis(rng.random_range(0..5)),
        ..Weather::CALM
    };
    (quota.expect("neither is zero"), weather)
}

#[test]
fn random_quiet_networks_use_97_percent_once_jitter_is_learned() {
    for seed in 0..20 {
        let (quota, weather) = quiet(seed);
        let price = price(quota, weather, Kind::SlidingLog);
        assert_eq!(price.refused, 0, "{quota:?}");
        assert!(price.at_first >= 0.89, "{quota:?}: {price:?}");
        assert!(price.learned >= 0.97, "{quota:?}: {price:?}");
    }
}

/// Delays that a request meets by itself.
#[test]
fn a_known_log_costs_no_more_than_3_percent_under_any_delays() {
    let weathers = (0..80).map(|seed| (seed, Case::random(seed).scene.weather));
    for (seed, weather) in weathers.filter(|(_, weather)| weather.blocks.is_none()) {
        // No stall is longer.
        let quota = quiet(seed).0.max_transit(Duration::from_secs(4));
        let quota = quota.model(Model::SlidingLog).expect("it holds");
        let price = price(quota, weather, Kind::SlidingLog);
        assert_eq!(price.refused, 0, "{quota:?} {weather:?}");
        let least = 0.97 * price.bound;
        assert!(price.at_first >= least, "{quota:?} {weather:?}: {price:?}");
        assert!(price.learned >= least, "{quota:?} {weather:?}: {price:?}");
    }
}

/// While a path is blocked only probes leave. With a burst of the whole limit the rest leaves at
/// once after the block.
#[test]
fn a_known_log_uses_most_of_what_a_path_leaves_that_blocks_as_a_whole() {
    fn check(window: u64, burst: u32, least: f64) {
        let quota = Quota::new(100, Duration::from_secs(window)).and_then(|quota| {
            let log = quota.model(Model::SlidingLog)?;
            log.burst(burst)
        });
        let (share, refused) = share_between_blocks(quota.expect("it holds"));
        assert_eq!(refused, 0, "{window} s, {burst}");
        assert!(share >= least, "{window} s, {burst}: {share}");
    }
    check(1, 1, 0.86);
    check(1, 100, 0.98);
    check(5, 1, 0.86);
    check(5, 100, 0.98);
}

#[test]
fn a_known_bucket_gives_its_whole_refill_at_any_round_trip() {
    let (size, refill) = (50, 90);
    let quota = Quota::per_second(100).model(Model::TokenBucket { size, refill });
    for (name, weather) in PATHS {
        let bucket = Kind::TokenBucket { size, refill };
        let price = price(quota.expect("it holds"), weather, bucket);
        assert_eq!(price.refused, 0, "{name}");
        assert!(price.learned >= 0.98 * 0.9, "{name}: {price:?}");
    }
}

#[test]
fn a_competitor_leads_to_few_refusals_and_most_of_the_rest_is_used() {
    fn check(limit: u32, competitor: f64, refused_a_minute: f64) {
        let shared = share_with_a_competitor(limit, competitor, 3);
        assert!(
            shared.refused_a_minute <= refused_a_minute,
            "{limit}: {shared:?}"
        );
        assert!(shared.used >= 0.75, "{limit}: {shared:?}");
    }
    check(100, 0.3, 3.7);
    check(100, 0.6, 5.8);
    check(1_000, 0.3, 7.9);
    check(1_000, 0.6, 7.9);
}

#[test]
fn a_path_that_blocks_and_flushes_is_hardly_ever_refused() {
    for kind in [Kind::SlidingCounter, Kind::StrictCounter] {
        assert!(blocked_runs_refused(kind, 40) <= 3, "{kind:?}");
    }
    for kind in [Kind::SlidingLog, Kind::FixedWindow] {
        assert_eq!(blocked_runs_refused(kind, 40), 0, "{kind:?}");
    }
}

#[test]
fn a_process_that_is_restarted_again_and_again_is_refused_nothing() {
    fn check(model: Model, kind: Kind) {
        for limit in [10, 100, 1_000] {
            let refused = refused_after_restarts(model, kind, limit, 30);
            assert_eq!(refused, 0, "{model:?} before {kind:?}, {limit}");
        }
    }
    check(Model::Unknown, Kind::SlidingLog);
    check(Model::Unknown, Kind::FixedWindow);
    check(Model::Unknown, Kind::SlidingCounter);
    check(Model::Unknown, Kind::StrictCounter);
    check(Model::SlidingLog, Kind::SlidingLog);
    check(Model::FixedWindow, Kind::FixedWindow);
}

/// A referee that never refuses would prove nothing: the same client with a quota that is too large
/// is refused.
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
        let outcome = scene.play(Duration::ZERO, Duration::from_secs(20));
        assert!(outcome.refused > 0, "{kind:?} refuses nothing");
    }
}
