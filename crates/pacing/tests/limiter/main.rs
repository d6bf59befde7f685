//! A saturated client against reference servers that count, in simulated time: how many requests
//! are throttled, and how much of the limit is used.
//!
//! - `rules` has a test for each rule of the limiter, `random` draws scenarios, and
//!   `arbitrary_calls` calls the limiter in any order.
//! - `simulation` plays a scenario event by event, over a `path`, before one of the `servers`.
//! - `processes` plays many processes that share a quota through a store, for `shared`.
//! - `measure` has the figures that the docs state, for the example `prices` too.

mod arbitrary_calls;
mod measure;
mod path;
mod processes;
mod random;
mod rules;
mod servers;
mod shared;
mod simulation;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pacing::{Model, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use measure::{
    PATHS, share_between_blocks, share_with_a_competitor, throttled_after_restarts,
    throttled_blocked_runs, throughput,
};
use path::Delays;
use random::RandomScenario;
use servers::ServerModel;
use simulation::{Outcome, Scenario};

/// Runs the random scenarios of these seeds on two threads, and passes each outcome to `check`.
fn run_each(seeds: u64, check: impl FnMut(&RandomScenario, Outcome) + Send) {
    let check = Mutex::new(check);
    thread::scope(|threads| {
        for first in 0..2 {
            let check = &check;
            threads.spawn(move || {
                for seed in (first..seeds).step_by(2) {
                    let drawn = RandomScenario::draw(seed);
                    let outcome = drawn.run();
                    (check.lock().expect("no check panics"))(&drawn, outcome);
                }
            });
        }
    });
}

/// The outcomes of scenarios whose jitter is above the assumed one, where nothing is promised.
#[derive(Debug, Default)]
struct Unpromised {
    scenarios: u64,
    sent: u64,
    throttled: u64,
}

impl Unpromised {
    fn add(&mut self, outcome: Outcome) {
        self.scenarios += 1;
        self.sent += outcome.sent;
        self.throttled += outcome.throttled;
    }
}

/// Returns the number of random scenarios: `LIMITER_SCENARIOS`, or as many as a debug build runs in
/// a few seconds.
fn scenarios() -> u64 {
    let scenarios = std::env::var("LIMITER_SCENARIOS").ok();
    scenarios.map_or(4_000, |scenarios| {
        scenarios.parse().expect("LIMITER_SCENARIOS is a number")
    })
}

#[test]
fn no_request_is_throttled_in_random_scenarios_within_the_assumptions() {
    let (mut broken, mut ungated) = (Vec::new(), 0);
    let [mut large, mut small, mut buckets] = <[Unpromised; 3]>::default();
    run_each(scenarios(), |drawn, outcome| {
        ungated += outcome.ungated;
        match (drawn.scenario.kind, drawn.scenario.quota.limit()) {
            _ if drawn.is_promised && outcome.throttled == 0 => {}
            _ if drawn.is_promised => broken.push(format!("{drawn:?}: {outcome:?}")),
            (ServerModel::TokenBucket { .. }, _) => buckets.add(outcome),
            (_, 100..) => large.add(outcome),
            _ => small.add(outcome),
        }
    });
    println!("{} scenarios", scenarios());
    println!("beyond the assumed jitter, sliding counters of 100 and more: {large:?}");
    println!("beyond the assumed jitter, smaller sliding counters: {small:?}");
    println!("beyond the assumed jitter, token buckets: {buckets:?}");
    assert!(broken.is_empty(), "{}: {}", broken.len(), broken[0]);
    assert!(large.throttled * 1_000 <= large.sent, "{large:?}");
    assert_eq!(ungated, 0, "a throttled response left the gate open");
}

/// An unknown model costs a tenth of the limit at first, and then 3 %.
#[test]
fn a_quiet_network_uses_89_percent_of_the_limit_and_97_once_jitter_is_learned() {
    for limit in [100, 1_000, 3_000] {
        for (name, delays) in &PATHS[..2] {
            let used = throughput(Quota::per_second(limit), *delays, ServerModel::SlidingLog);
            assert_eq!(used.throttled, 0, "{limit} at {name}");
            assert!(used.at_first >= 0.89, "{limit} at {name}: {used:?}");
            assert!(used.learned >= 0.97, "{limit} at {name}: {used:?}");
        }
    }
}

/// Draws a limit, a window and a path for which the docs state the throughput.
fn quiet(seed: u64) -> (Quota, Delays) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let window = Duration::from_secs_f64(rng.random_range(1.0..5.0));
    let quota = Quota::new(rng.random_range(100..1_000), window);
    let delays = Delays {
        least: Duration::from_millis(rng.random_range(0..5)),
        ..Delays::STEADY
    };
    (quota.expect("neither is zero"), delays)
}

#[test]
fn random_quiet_networks_use_97_percent_once_jitter_is_learned() {
    for seed in 0..20 {
        let (quota, delays) = quiet(seed);
        let used = throughput(quota, delays, ServerModel::SlidingLog);
        assert_eq!(used.throttled, 0, "{quota:?}");
        assert!(used.at_first >= 0.89, "{quota:?}: {used:?}");
        assert!(used.learned >= 0.97, "{quota:?}: {used:?}");
    }
}

/// The delays are those of single requests: the path is never blocked as a whole.
#[test]
fn a_known_log_costs_no_more_than_3_percent_under_any_delays() {
    let delays = (0..80).map(|seed| (seed, RandomScenario::draw(seed).scenario.delays));
    for (seed, delays) in delays.filter(|(_, delays)| delays.blocks.is_none()) {
        // No stall is longer.
        let quota = quiet(seed).0.max_transit(Duration::from_secs(4));
        let quota = quota.model(Model::SlidingLog).expect("it holds");
        let used = throughput(quota, delays, ServerModel::SlidingLog);
        assert_eq!(used.throttled, 0, "{quota:?} {delays:?}");
        let least = 0.97 * used.bound;
        assert!(used.at_first >= least, "{quota:?} {delays:?}: {used:?}");
        assert!(used.learned >= least, "{quota:?} {delays:?}: {used:?}");
    }
}

/// While a path is blocked only probes depart. With a burst of the whole limit the rest departs at
/// once after the block.
#[test]
fn a_known_log_uses_most_of_what_a_path_leaves_that_blocks_as_a_whole() {
    fn check(window: u64, burst: u32, least: f64) {
        let quota = Quota::new(100, Duration::from_secs(window)).and_then(|quota| {
            let log = quota.model(Model::SlidingLog)?;
            log.burst(burst)
        });
        let (share, throttled) = share_between_blocks(quota.expect("it holds"));
        assert_eq!(throttled, 0, "{window} s, {burst}");
        assert!(share >= least, "{window} s, {burst}: {share}");
    }
    check(1, 1, 0.86);
    check(1, 100, 0.98);
    check(5, 1, 0.86);
    check(5, 100, 0.98);
}

#[test]
fn a_known_bucket_is_used_to_its_whole_refill_at_any_round_trip() {
    let (size, refill) = (50, 90);
    let quota = Quota::per_second(100).model(Model::TokenBucket { size, refill });
    for (name, delays) in PATHS {
        let bucket = ServerModel::TokenBucket { size, refill };
        let used = throughput(quota.expect("it holds"), delays, bucket);
        assert_eq!(used.throttled, 0, "{name}");
        assert!(used.learned >= 0.98 * 0.9, "{name}: {used:?}");
    }
}

#[test]
fn beside_a_competitor_few_requests_are_throttled_and_most_of_the_rest_is_used() {
    fn check(limit: u32, competitor: f64, throttled_a_minute: f64) {
        let shared = share_with_a_competitor(limit, competitor, 3);
        assert!(
            shared.throttled_a_minute <= throttled_a_minute,
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
fn few_requests_are_throttled_after_a_path_was_blocked_and_flushed() {
    for kind in [ServerModel::SlidingCounter, ServerModel::StrictCounter] {
        assert!(throttled_blocked_runs(kind, 40) <= 3, "{kind:?}");
    }
    for kind in [ServerModel::SlidingLog, ServerModel::FixedWindow] {
        assert_eq!(throttled_blocked_runs(kind, 40), 0, "{kind:?}");
    }
}

#[test]
fn no_request_of_a_process_that_is_restarted_often_is_throttled() {
    fn check(model: Model, kind: ServerModel) {
        for limit in [10, 100, 1_000] {
            let throttled = throttled_after_restarts(model, kind, limit, 30);
            assert_eq!(throttled, 0, "{model:?} before {kind:?}, {limit}");
        }
    }
    check(Model::Unknown, ServerModel::SlidingLog);
    check(Model::Unknown, ServerModel::FixedWindow);
    check(Model::Unknown, ServerModel::SlidingCounter);
    check(Model::Unknown, ServerModel::StrictCounter);
    check(Model::SlidingLog, ServerModel::SlidingLog);
    check(Model::FixedWindow, ServerModel::FixedWindow);
}

/// A reference server that never throttles would prove nothing: it throttles the same client if the
/// quota is too large.
#[test]
fn every_reference_server_throttles_a_client_with_too_large_a_quota() {
    let bucket = ServerModel::TokenBucket {
        size: 100,
        refill: 100,
    };
    let counters = [ServerModel::SlidingCounter, ServerModel::StrictCounter];
    for kind in [ServerModel::SlidingLog, ServerModel::FixedWindow, bucket]
        .into_iter()
        .chain(counters)
    {
        let scenario = Scenario {
            real: Quota::per_second(100),
            ..Scenario::new(Quota::per_second(130), kind)
        };
        let outcome = scenario.run(Duration::ZERO, Duration::from_secs(20));
        assert!(outcome.throttled > 0, "{kind:?} throttles nothing");
    }
}
