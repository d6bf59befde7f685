//! Random scenarios, each from a seed.

use std::time::Duration;

use pacing::{Model, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::path::{Blocks, Delays};
use crate::servers::ServerModel;
use crate::simulation::{Outcome, Scenario, Simulation};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A random scenario, and whether the promise covers it.
#[derive(Debug)]
pub(crate) struct RandomScenario {
    pub(crate) scenario: Scenario,
    /// No request may be throttled. That holds for servers that the slots cover, and for the others
    /// if transit times vary by less than the jitter ceiling.
    pub(crate) is_promised: bool,
    requests: u64,
}

impl RandomScenario {
    /// Draws a quota, a server and a path. The limit is 1 to 3,000 and the window 10 ms to 100 s,
    /// both evenly distributed on a logarithmic scale.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let limit = magnitude(1.0, 3_000.0, &mut rng) as u32;
        let (model, kind, covered) = pair(limit, &mut rng);
        let quota = quota(limit, model, &mut rng);
        let scenario = Scenario {
            delays: delays(&mut rng),
            timeout: sometimes(0.3, &mut rng, |rng| millis(rng.random_range(20..2_000)))
                .unwrap_or(Duration::MAX),
            response_time: sometimes(0.2, &mut rng, |rng| millis(rng.random_range(0..5_000)))
                .unwrap_or(Duration::ZERO),
            slow: sometimes(0.2, &mut rng, |_| 0.05).unwrap_or(0.0),
            slow_for: millis(rng.random_range(2_000..60_000)),
            // If requests count until they are answered, some that hang may stop the client.
            hung: sometimes(0.2, &mut rng, |_| 0.01)
                .filter(|_| quota.0 != quota.0.counted_until_answered())
                .unwrap_or(0.0),
            gateway: sometimes(0.3, &mut rng, |_| 0.5).unwrap_or(0.0),
            unsent: sometimes(0.2, &mut rng, |_| 0.1).unwrap_or(0.0),
            idle: sometimes(0.3, &mut rng, |_| 0.02).unwrap_or(0.0),
            states: rng.random_bool(0.3),
            transit: quota.1,
            drift: rng.random_range(-1.0..1.0),
            phase: rng.random(),
            seed,
            ..Scenario::new(quota.0, kind)
        };
        let scenario = with_costs(scenario, size(model), &mut rng);
        let scenario = with_changes(scenario, &mut rng);
        let steady = scenario.delays.stall == 0.0 && scenario.delays.blocks.is_none();
        Self {
            scenario,
            is_promised: covered || (steady && scenario.delays.jitter <= millis(100)),
            requests: requests(&scenario),
        }
    }

    /// Sends `requests` requests, and waits for all of them to end.
    pub(crate) fn run(&self) -> Outcome {
        let mut simulation = Simulation::new(self.scenario);
        while simulation.outcome.sent < self.requests {
            simulation.step();
        }
        simulation.finish(Moment::ORIGIN)
    }
}

/// Returns the requests of two and a half windows. Every twentieth scenario has at least 6,500, so
/// that jitter is learned.
fn requests(scenario: &Scenario) -> u64 {
    let mean = 1.0 + f64::from(scenario.highest - 1) / 2.0 * scenario.heavy;
    let windows = (f64::from(scenario.quota.limit()) * 2.5 / mean) as u64 + 60;
    match scenario.seed % 20 {
        0 => windows.max(6_500),
        _ => windows,
    }
}

/// Sometimes requests cost something: a little, up to the whole limit or more, often or rarely, and
/// sometimes less than was thought.
fn with_costs(scenario: Scenario, size: u32, rng: &mut SmallRng) -> Scenario {
    let most = scenario.quota.limit().min(size);
    let highest = match rng.random_range(0..6) {
        0 => rng.random_range(1..=most.div_ceil(4)),
        1 => rng.random_range(1..=most),
        2 => rng.random_range(most..=most.saturating_mul(2)),
        _ => return scenario,
    };
    Scenario {
        highest,
        heavy: [1.0, 0.1, 0.01][rng.random_range(0..3)],
        estimated: sometimes(0.3, rng, |_| 0.5).unwrap_or(0.0),
        ..scenario
    }
}

/// Sometimes the quota changes again and again, and the server's limit with it or not, where the
/// slots keep it.
fn with_changes(scenario: Scenario, rng: &mut SmallRng) -> Scenario {
    let keeps = matches!(
        scenario.kind,
        ServerModel::SlidingLog | ServerModel::FixedWindow
    );
    let changes = sometimes(0.4, rng, |_| 0.03).filter(|_| keeps);
    Scenario {
        changes: changes.unwrap_or(0.0),
        follows: rng.random_bool(0.5),
        ..scenario
    }
}

/// Sometimes there is a burst, sometimes a second limit, which the server does not hold, and
/// sometimes the path takes longer than usual, or less. Returns the longest transit, too.
fn quota(limit: u32, model: Model, rng: &mut SmallRng) -> (Quota, Duration) {
    let window = Duration::from_secs_f64(magnitude(0.01, 100.0, rng));
    let quota = Quota::new(limit, window).expect("neither is zero");
    let quota = quota.model(model).expect("drawn so that it holds");
    let most = match model {
        Model::Unknown => (limit / 2).max(1),
        _ => limit.min(size(model)),
    };
    let burst = sometimes(0.2, rng, |rng| rng.random_range(1..=most));
    let quota = burst
        .map_or(Ok(quota), |burst| quota.burst(burst))
        .expect("drawn so that it holds");
    let longer = Quota::new(limit.saturating_mul(4), window * 5).expect("neither is zero");
    let second = Duration::from_secs(1);
    let quota = match rng.random_range(0..8) {
        0 => quota.and(longer).expect("two limits fit"),
        1 => quota.unused_at_start(),
        2 => quota.counted_until_answered(),
        _ => quota,
    };
    let transit = match rng.random_range(0..8) {
        // Longer than any two stalls or blocks: nothing is lost, and so everything is answered.
        _ if quota == quota.counted_until_answered() => second * 12,
        0 => second * 12,
        1 => second / 4,
        _ => second,
    };
    (quota.max_transit(transit), transit)
}

/// Returns a model, a server that it holds for, and whether the slots cover that.
fn pair(limit: u32, rng: &mut SmallRng) -> (Model, ServerModel, bool) {
    let size = magnitude(1.0, f64::from(limit) * 2.0, rng) as u32;
    let refill = rng.random_range(1..=limit);
    let whole = ServerModel::TokenBucket {
        size: limit,
        refill: limit,
    };
    match rng.random_range(0..10) {
        0 => (Model::Unknown, ServerModel::SlidingLog, true),
        1 => (Model::Unknown, ServerModel::FixedWindow, true),
        2 => (Model::Unknown, whole, true),
        3 | 4 => (Model::Unknown, ServerModel::SlidingCounter, false),
        5 => (Model::Unknown, ServerModel::StrictCounter, false),
        6 => (Model::SlidingLog, ServerModel::SlidingLog, true),
        7 => (Model::FixedWindow, ServerModel::FixedWindow, true),
        8 => (Model::SlidingLog, whole, true),
        _ => (
            Model::TokenBucket { size, refill },
            ServerModel::TokenBucket { size, refill },
            false,
        ),
    }
}

fn size(model: Model) -> u32 {
    match model {
        Model::TokenBucket { size, .. } => size,
        _ => u32::MAX,
    }
}

/// From a loopback to a path that stalls for longer than the window.
fn delays(rng: &mut SmallRng) -> Delays {
    let least = millis(rng.random_range(0..50));
    let jitter = millis(magnitude(1.0, 100.0, rng).ceil() as u64);
    let calm = Delays {
        least,
        jitter,
        ..Delays::STEADY
    };
    match rng.random_range(0..4) {
        0 | 1 => calm,
        2 => Delays {
            stall: rng.random_range(0.0..0.1),
            stalled: millis(rng.random_range(1..3_000)),
            ..calm
        },
        _ => Delays {
            blocks: Some(Blocks {
                every: millis(rng.random_range(500..10_000)),
                least: millis(200),
                most: millis(rng.random_range(200..5_000)),
            }),
            ..calm
        },
    }
}

fn magnitude(least: f64, most: f64, rng: &mut SmallRng) -> f64 {
    rng.random_range(least.ln()..=most.ln()).exp()
}

fn sometimes<T>(share: f64, rng: &mut SmallRng, draw: impl Fn(&mut SmallRng) -> T) -> Option<T> {
    rng.random_bool(share).then(|| draw(rng))
}
