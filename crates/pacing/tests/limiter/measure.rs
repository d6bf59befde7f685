//! Measures the throughput, and what happens when another client breaks the assumptions.

use std::time::Duration;

use pacing::{Model, Quota};

use crate::path::{Blocks, Delays};
use crate::servers::ServerModel;
use crate::simulation::{Outcome, Scenario};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The paths of the tables in the docs, with their names.
pub(crate) const PATHS: [(&str, Delays); 5] = [
    ("1 ms", path(0, 1, 0.0)),
    ("10 to 20 ms", path(5, 5, 0.0)),
    ("100 ms", path(50, 0, 0.0)),
    ("200 ms", path(100, 0, 0.0)),
    ("20 ms, 80 ms at p99", path(0, 10, 0.596)),
];

const fn path(least: u64, jitter: u64, sigma: f64) -> Delays {
    Delays {
        least: millis(least),
        jitter: millis(jitter),
        sigma,
        ..Delays::STEADY
    }
}

/// The share of a limit that a saturated client uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    /// In the first 5,000 requests.
    pub(crate) at_first: f64,
    /// After them.
    pub(crate) learned: f64,
    pub(crate) throttled: u64,
    /// The share of the limit that slots allow at this round trip.
    pub(crate) bound: f64,
}

/// Measures the throughput before a server of this model.
pub(crate) fn throughput(quota: Quota, delays: Delays, kind: ServerModel) -> Throughput {
    let scenario = Scenario {
        delays,
        late: true,
        ..Scenario::new(quota, kind)
    };
    let window = quota.window().as_secs_f64();
    let whole = f64::from(quota.limit()) / window;
    let learning = quota.spacing() * 5_000;
    let before = scenario.run(learning / 5, learning.mul_f64(0.7));
    let after = scenario.run(learning.mul_f64(1.3), learning.max(quota.window() * 3));
    Throughput {
        at_first: before.rate / whole,
        learned: after.rate / whole,
        throttled: before.throttled + after.throttled,
        bound: window / (window + after.round_trip.as_secs_f64()),
    }
}

/// Returns the model of the server that a quota is for: a bucket if the quota names one, and
/// otherwise a sliding log.
fn kind_of(quota: &Quota) -> ServerModel {
    let bucket = quota.model(Model::TokenBucket {
        size: 100,
        refill: 100,
    });
    match bucket.is_ok_and(|bucket| bucket == *quota) {
        true => ServerModel::TokenBucket {
            size: 100,
            refill: 100,
        },
        false => ServerModel::SlidingLog,
    }
}

/// Measures the share of the limit that is used if requests are answered after `response_time`, or
/// a share `slow` of them after `slow_for`.
pub(crate) fn share_of_slow_answers(
    quota: Quota,
    response_time: Duration,
    slow: f64,
    slow_for: Duration,
) -> f64 {
    let scenario = Scenario {
        response_time,
        slow,
        slow_for,
        transit: Duration::from_millis(250),
        ..Scenario::new(quota, kind_of(&quota))
    };
    let outcome = scenario.run(Duration::from_secs(300), Duration::from_secs(600));
    assert_eq!(outcome.throttled, 0, "{quota:?}");
    outcome.rate * quota.window().as_secs_f64() / f64::from(quota.limit())
}

/// Measures the cost that departs per second at a round trip of 10 ms, if a share of the requests
/// is heavy.
pub(crate) fn rate_of_costs(quota: Quota, kind: ServerModel, cost: u32, heavy: f64) -> f64 {
    let scenario = Scenario {
        delays: path(5, 0, 0.0),
        least: cost,
        highest: cost,
        heavy,
        ..Scenario::new(quota, kind)
    };
    let outcome = scenario.run(Duration::from_secs(20), Duration::from_secs(240));
    assert_eq!(outcome.throttled, 0, "{scenario:?}");
    outcome.rate
}

/// The outcome beside another client that takes a share of the limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) throttled_a_minute: f64,
    /// The share of the rest that is used.
    pub(crate) used: f64,
}

/// Measures for `minutes`, after one minute to adapt.
pub(crate) fn share_with_a_competitor(limit: u32, competitor: f64, minutes: u32) -> Shared {
    let scenario = Scenario {
        competitor,
        ..Scenario::new(Quota::per_second(limit), ServerModel::SlidingLog)
    };
    let outcome = scenario.run(Duration::from_secs(60), Duration::from_secs(60) * minutes);
    Shared {
        throttled_a_minute: outcome.throttled as f64 / f64::from(minutes),
        used: outcome.rate / (f64::from(limit) * (1.0 - competitor)),
    }
}

/// Measures an hour before a sliding log on a path that is blocked for 0.2 to 5 s at a time, 10 to
/// 20 s after the last block, and then releases all messages at once. Returns the share of
/// L W/(W + mean round trip) that is used, and the number of throttled requests.
pub(crate) fn share_between_blocks(quota: Quota) -> (f64, u64) {
    let blocks = Blocks {
        every: Duration::from_secs(20),
        least: millis(200),
        most: Duration::from_secs(5),
    };
    let scenario = Scenario {
        delays: Delays {
            blocks: Some(blocks),
            ..Delays::STEADY
        },
        late: true,
        ..Scenario::new(quota, ServerModel::SlidingLog)
    };
    let outcome = scenario.run(Duration::from_secs(60), Duration::from_secs(3_600));
    let (window, round_trip) = (quota.window(), outcome.round_trip);
    let most = f64::from(quota.limit()) / (window + round_trip).as_secs_f64();
    (outcome.rate / most, outcome.throttled)
}

/// Counts the runs in which a request is throttled. The path is blocked and flushed at least twice.
pub(crate) fn throttled_blocked_runs(kind: ServerModel, runs: u64) -> usize {
    (0..runs)
        .filter(|&seed| blocked_run(kind, seed).throttled > 0)
        .count()
}

fn blocked_run(kind: ServerModel, seed: u64) -> Outcome {
    let limit = [100, 300, 1_000][seed as usize % 3];
    let length = millis(200 + seed * 200 % 5_000);
    let blocks = Blocks {
        every: Duration::from_secs(20),
        least: length,
        most: length,
    };
    let scenario = Scenario {
        delays: Delays {
            blocks: Some(blocks),
            ..Delays::STEADY
        },
        late: true,
        seed,
        phase: seed as f64 / 7.0 % 1.0,
        ..Scenario::new(Quota::per_second(limit), kind)
    };
    scenario.run(Duration::ZERO, Duration::from_secs(60))
}

/// Counts the throttled requests of `processes` that run one after the other, for seven windows
/// each.
pub(crate) fn throttled_after_restarts(
    model: Model,
    kind: ServerModel,
    limit: u32,
    processes: u32,
) -> u64 {
    let quota = Quota::per_second(limit).model(model);
    let every = Duration::from_secs(7);
    let scenario = Scenario {
        restarts: Some(every),
        ..Scenario::new(quota.expect("the model holds"), kind)
    };
    scenario.run(Duration::ZERO, every * processes).throttled
}
