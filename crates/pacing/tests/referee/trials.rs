//! What the promise costs, and what happens when somebody else breaks its assumptions.

use std::time::Duration;

use pacing::{Model, Quota};

use crate::path::{Blocks, Weather};
use crate::servers::Kind;
use crate::world::{Outcome, Scene};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A way to the server, with its name.
pub(crate) const PATHS: [(&str, Weather); 5] = [
    ("1 ms", path(0, 1, 0.0)),
    ("10 to 20 ms", path(5, 5, 0.0)),
    ("100 ms", path(50, 0, 0.0)),
    ("200 ms", path(100, 0, 0.0)),
    ("20 ms, 80 ms at p99", path(0, 10, 0.596)),
];

const fn path(least: u64, jitter: u64, sigma: f64) -> Weather {
    Weather {
        least: millis(least),
        jitter: millis(jitter),
        sigma,
        ..Weather::CALM
    }
}

/// How much of a limit a saturated client uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    /// In the first 5,000 requests.
    pub(crate) at_first: f64,
    /// After them.
    pub(crate) learned: f64,
    pub(crate) refused: u64,
    /// The share of the limit that slots leave at this round trip.
    pub(crate) bound: f64,
}

/// Measures before a sliding log, and before a bucket if the quota names one.
pub(crate) fn price(quota: Quota, weather: Weather, kind: Kind) -> Price {
    let scene = Scene {
        weather,
        late: true,
        ..Scene::new(quota, kind)
    };
    let window = quota.window().as_secs_f64();
    let whole = f64::from(quota.limit()) / window;
    let learning = quota.spacing() * 5_000;
    let before = scene.play(learning / 5, learning.mul_f64(0.7));
    let after = scene.play(learning.mul_f64(1.3), learning.max(quota.window() * 3));
    Price {
        at_first: before.rate / whole,
        learned: after.rate / whole,
        refused: before.refused + after.refused,
        bound: window / (window + after.round_trip.as_secs_f64()),
    }
}

/// The server that a quota is for, as far as the slots matter.
fn kind_of(quota: &Quota) -> Kind {
    let bucket = quota.model(Model::TokenBucket {
        size: 100,
        refill: 100,
    });
    match bucket.is_ok_and(|bucket| bucket == *quota) {
        true => Kind::TokenBucket {
            size: 100,
            refill: 100,
        },
        false => Kind::SlidingLog,
    }
}

/// Measures the share of the limit that a client uses whose requests are answered after `thinks`,
/// or `slow` of them after `slow_for`, before a server that counts as the quota says.
pub(crate) fn share_of_slow_answers(
    quota: Quota,
    thinks: Duration,
    slow: f64,
    slow_for: Duration,
) -> f64 {
    let scene = Scene {
        thinks,
        slow,
        slow_for,
        transit: Duration::from_millis(250),
        ..Scene::new(quota, kind_of(&quota))
    };
    let outcome = scene.play(Duration::from_secs(300), Duration::from_secs(600));
    assert_eq!(outcome.refused, 0, "{quota:?}");
    outcome.rate * quota.window().as_secs_f64() / f64::from(quota.limit())
}

/// Measures the cost that leaves a second, of which a share is heavy, at a round trip of 10 ms.
pub(crate) fn rate_of_costs(quota: Quota, kind: Kind, cost: u32, heavy: f64) -> f64 {
    let scene = Scene {
        weather: path(5, 0, 0.0),
        least: cost,
        heaviest: cost,
        heavy,
        ..Scene::new(quota, kind)
    };
    let outcome = scene.play(Duration::from_secs(20), Duration::from_secs(240));
    assert_eq!(outcome.refused, 0, "{scene:?}");
    outcome.rate
}

/// What it is like beside somebody who takes a share of the limit and does not care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) refused_a_minute: f64,
    /// What we use of what is free.
    pub(crate) used: f64,
}

/// Measures so many minutes, after one of getting used to it.
pub(crate) fn share_with_a_competitor(limit: u32, competitor: f64, minutes: u32) -> Shared {
    let scene = Scene {
        competitor,
        ..Scene::new(Quota::per_second(limit), Kind::SlidingLog)
    };
    let outcome = scene.play(Duration::from_secs(60), Duration::from_secs(60) * minutes);
    Shared {
        refused_a_minute: outcome.refused as f64 / f64::from(minutes),
        used: outcome.rate / (f64::from(limit) * (1.0 - competitor)),
    }
}

/// The share of L W/(W + mean round trip) that an hour before a sliding log uses, on a path that is
/// blocked for 0.2 to 5 s at a time, 10 to 20 s after the last, and then lets go of everything at
/// once; and what is refused.
pub(crate) fn share_between_blocks(quota: Quota) -> (f64, u64) {
    let blocks = Blocks {
        every: Duration::from_secs(20),
        least: millis(200),
        most: Duration::from_secs(5),
    };
    let scene = Scene {
        weather: Weather {
            blocks: Some(blocks),
            ..Weather::CALM
        },
        late: true,
        ..Scene::new(quota, Kind::SlidingLog)
    };
    let outcome = scene.play(Duration::from_secs(60), Duration::from_secs(3_600));
    let (window, round_trip) = (quota.window(), outcome.round_trip);
    let most = f64::from(quota.limit()) / (window + round_trip).as_secs_f64();
    (outcome.rate / most, outcome.refused)
}

/// Counts the runs in which a sliding counter refuses something while the path is blocked and then
/// flushed, twice at least.
pub(crate) fn blocked_runs_refused(kind: Kind, runs: u64) -> usize {
    (0..runs)
        .filter(|&seed| blocked_run(kind, seed).refused > 0)
        .count()
}

fn blocked_run(kind: Kind, seed: u64) -> Outcome {
    let limit = [100, 300, 1_000][seed as usize % 3];
    let length = millis(200 + seed * 200 % 5_000);
    let blocks = Blocks {
        every: Duration::from_secs(20),
        least: length,
        most: length,
    };
    let scene = Scene {
        weather: Weather {
            blocks: Some(blocks),
            ..Weather::CALM
        },
        late: true,
        seed,
        phase: seed as f64 / 7.0 % 1.0,
        ..Scene::new(Quota::per_second(limit), kind)
    };
    scene.play(Duration::ZERO, Duration::from_secs(60))
}

/// Counts what is refused to a process that is restarted every seven windows, for so many lives.
pub(crate) fn refused_after_restarts(model: Model, kind: Kind, limit: u32, lives: u32) -> u64 {
    let quota = Quota::per_second(limit).model(model);
    let every = Duration::from_secs(7);
    let scene = Scene {
        restarts: Some(every),
        ..Scene::new(quota.expect("the model holds"), kind)
    };
    scene.play(Duration::ZERO, every * lives).refused
}
