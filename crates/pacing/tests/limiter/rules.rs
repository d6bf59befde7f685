//! A test for each rule of the limiter, with the figures that the docs promise: slots, cap, costs,
//! stated limits and the start.

use std::time::Duration;

use pacing::{Cost, Due, Feedback, Limiter, Model, Moment, Quota};

use crate::measure::{rate_of_costs, share_of_slow_answers};
use crate::path::{Blocks, Delays};
use crate::servers::ServerModel;
use crate::simulation::{Outcome, Scenario, Simulation};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn log(limit: u32) -> Quota {
    let quota = Quota::per_second(limit).model(Model::SlidingLog);
    quota.expect("the model holds")
}

/// Runs a client on a path of 10 to 20 ms that is blocked once, after 20 s, and releases all
/// messages at the end of the block, however late that is.
fn blocked_once(quota: Quota, length: Duration, timeout: Duration, seed: u64) -> Outcome {
    let delays = Delays {
        once: Some((seconds(20), length)),
        ..Delays::STEADY
    };
    let scenario = Scenario {
        delays,
        late: true,
        timeout,
        seed,
        ..Scenario::new(quota, ServerModel::SlidingLog)
    };
    scenario.run(Duration::ZERO, seconds(60))
}

/// Returns the mean number of requests that are throttled after one block.
fn throttled_after_block(quota: Quota, millis: u64, timeout: Duration) -> f64 {
    let length = Duration::from_millis(millis);
    let runs = (0..10).map(|seed| blocked_once(quota, length, timeout, seed).throttled);
    runs.sum::<u64>() as f64 / 10.0
}

#[test]
fn after_a_block_of_the_whole_path_almost_no_request_is_throttled() {
    fn check(limit: u32, millis: u64, most: f64) {
        for quota in [Quota::per_second(limit), log(limit)] {
            let throttled = throttled_after_block(quota, millis, Duration::MAX);
            println!("{limit}/s, {millis} ms: {throttled} throttled of {quota:?}");
            assert!(throttled <= most, "{limit}/s, {millis} ms: {throttled}");
        }
    }
    for millis in [500, 1_000, 2_000, 5_000, 10_000, 30_000] {
        check(100, millis, 0.0);
        check(1_000, millis, 0.0);
    }
    check(10, 5_000, 0.0);
    check(10, 10_000, 6.0);
    check(5, 5_000, 3.0);
    check(5, 10_000, 8.0);
    check(1, 5_000, 2.0);
    check(1, 10_000, 4.0);
}

#[test]
fn timeouts_on_a_blocked_path_do_not_count_as_answers() {
    let timeout = Duration::from_millis(50);
    for millis in [2_000, 10_000] {
        assert_eq!(throttled_after_block(log(100), millis, timeout), 0.0);
        let quota = Quota::per_second(100);
        assert_eq!(throttled_after_block(quota, millis, timeout), 0.0);
    }
}

/// A timeout of 50 ms inside the limiter, and blocks of 900 ms: the requests arrive when the block
/// ends.
#[test]
fn gateway_timeouts_on_a_blocked_path_do_not_count_as_answers() {
    let blocks = Blocks {
        every: seconds(5),
        least: Duration::from_millis(900),
        most: Duration::from_millis(900),
    };
    for gateway in [0.0, 0.5, 1.0] {
        let scenario = Scenario {
            delays: Delays {
                blocks: Some(blocks),
                ..Delays::STEADY
            },
            timeout: Duration::from_millis(50),
            gateway,
            ..Scenario::new(Quota::per_second(100), ServerModel::SlidingLog)
        };
        let mut simulation = Simulation::new(scenario);
        while simulation.now < Moment::ORIGIN + seconds(300) {
            simulation.step();
        }
        let worst = busiest(&simulation.arrived, seconds(1));
        assert!((50..=100).contains(&worst), "{worst} at {gateway}");
    }
}

/// Returns the highest cost in any half-open window.
fn busiest(arrived: &[(Moment, u32)], window: Duration) -> u32 {
    let (mut first, mut held, mut most) = (0, 0, 0);
    for &(at, cost) in arrived {
        held += cost;
        while arrived[first].0 + window <= at {
            held -= arrived[first].1;
            first += 1;
        }
        most = most.max(held);
    }
    most
}

#[test]
fn slow_answers_cost_at_most_max_transit() {
    fn check(quota: Quota, slow: f64, slow_for: u64, least: f64) {
        let response_time = Duration::ZERO;
        let share = share_of_slow_answers(quota, response_time, slow, seconds(slow_for));
        println!("{slow} of answers after {slow_for} s: {share:.3} of {quota:?}");
        assert!(
            share >= least,
            "{slow} after {slow_for} s: {share} of {quota:?}"
        );
    }
    let quarter = Duration::from_millis(250);
    check(Quota::per_second(10), 1.0, 2, 0.49);
    check(Quota::per_second(10).max_transit(quarter), 1.0, 2, 0.78);
    check(Quota::per_second(10), 0.05, 30, 0.78);
    check(Quota::per_second(100), 0.05, 30, 0.88);
    check(Quota::per_second(100), 0.45, 30, 0.60);
    check(Quota::per_second(100), 1.0, 60, 0.49);
    check(log(100), 0.05, 30, 0.91);
}

#[test]
fn before_a_bucket_slow_answers_cost_nothing() {
    let (size, refill) = (100, 100);
    let quota = Quota::per_second(100).model(Model::TokenBucket { size, refill });
    for (slow, slow_for) in [(1.0, 2), (0.05, 30), (0.45, 30)] {
        let scenario = Scenario {
            slow,
            slow_for: seconds(slow_for),
            hung: 0.01,
            ..Scenario::new(
                quota.expect("it holds"),
                ServerModel::TokenBucket { size, refill },
            )
        };
        let outcome = scenario.run(seconds(60), seconds(120));
        assert_eq!(outcome.throttled, 0);
        assert!(outcome.rate >= 99.0, "{}", outcome.rate);
    }
}

#[test]
fn requests_that_hang_do_not_stop_the_limiter() {
    let bucket = Model::TokenBucket {
        size: 1,
        refill: 10,
    };
    for model in [Model::Unknown, Model::SlidingLog, bucket] {
        let quota = Quota::per_second(10).model(model).expect("it holds");
        let mut limiter = Limiter::new(quota);
        let mut now = Moment::ORIGIN;
        let mut send = |limiter: &mut Limiter| {
            while let Due::At(due) = limiter.due(now) {
                now = due;
            }
            assert_eq!(limiter.due(now), Due::Now, "no request waits for an answer");
            (limiter.depart(now), now)
        };
        for _ in 0..30 {
            let (departure, now) = send(&mut limiter);
            limiter.answer(
                departure,
                now + Duration::from_millis(5),
                Feedback::Accepted,
            );
        }
        let hung: Vec<_> = (0..3).map(|_| send(&mut limiter)).collect();
        let (_, next) = send(&mut limiter);
        assert!(next.since(hung[2].1) <= seconds(2), "{model:?}: {next:?}");
    }
}

#[test]
fn a_hundredth_that_hangs_takes_less_than_a_fifth_of_the_rate() {
    for (limit, least) in [(10, 0.8), (100, 0.88)] {
        for quota in [Quota::per_second(limit), log(limit)] {
            let scenario = Scenario {
                hung: 0.01,
                ..Scenario::new(quota, ServerModel::SlidingLog)
            };
            let outcome = scenario.run(seconds(60), seconds(300));
            let share = outcome.rate / f64::from(limit);
            assert_eq!(outcome.throttled, 0);
            assert!(share >= least, "{share} of {quota:?}");
        }
    }
}

/// All requests time out for a minute, and then the path is as it was.
#[test]
fn after_an_outage_the_next_request_departs_within_the_transit_and_a_second() {
    // Requests without an answer count as if they arrived now. Under a small limit that takes up to
    // two windows.
    let small = Duration::from_millis(2_250);
    for (quota, most) in [
        (Quota::per_second(100), seconds(2)),
        (Quota::per_second(1_000), seconds(2)),
        (log(100), seconds(2)),
        (log(10), seconds(2)),
        (Quota::per_second(10), small),
    ] {
        let delays = Delays {
            once: Some((seconds(20), seconds(60))),
            ..Delays::STEADY
        };
        let scenario = Scenario {
            delays,
            timeout: seconds(5),
            ..Scenario::new(quota, ServerModel::SlidingLog)
        };
        let mut simulation = Simulation::new(scenario);
        while simulation.now < Moment::ORIGIN + seconds(120) {
            simulation.step();
        }
        let end = Moment::ORIGIN + seconds(80);
        let next = simulation.departed.iter().find(|&&sent| sent >= end);
        let waited = next.expect("requests depart again").since(end);
        assert!(waited <= most, "{waited:?} of {quota:?}");
        assert_eq!(simulation.outcome.throttled, 0);
    }
}

/// Mixes of costs: the least and the most cost of a heavy request, and the share of heavy requests.
const MIXES: [(u32, u32, f64); 6] = [
    (1, 1, 0.0),
    (10, 10, 0.01),
    (20, 20, 0.1),
    (50, 50, 0.1),
    (1, 100, 1.0),
    (90, 100, 0.01),
];

#[test]
fn no_mix_of_costs_is_throttled_by_any_model() {
    let bucket = |size, refill| Model::TokenBucket { size, refill };
    let kinds = [
        (Model::Unknown, ServerModel::SlidingCounter),
        (Model::Unknown, ServerModel::StrictCounter),
        (Model::SlidingLog, ServerModel::SlidingLog),
        (Model::FixedWindow, ServerModel::FixedWindow),
        (
            bucket(100, 100),
            ServerModel::TokenBucket {
                size: 100,
                refill: 100,
            },
        ),
    ];
    for (model, kind) in kinds {
        for seed in 0..10 {
            for (least, highest, heavy) in MIXES {
                let quota = Quota::per_second(100).model(model).expect("it holds");
                let scenario = Scenario {
                    least,
                    highest,
                    heavy,
                    idle: 0.02,
                    seed,
                    phase: seed as f64 / 10.0,
                    ..Scenario::new(quota, kind)
                };
                let outcome = scenario.run(Duration::ZERO, seconds(60));
                assert_eq!(outcome.throttled, 0, "{scenario:?}");
            }
        }
    }
}

/// The cost that departs per second of a limit of 100. The guide has the whole table.
#[test]
fn the_throughput_of_costs_is_that_of_the_guide() {
    fn check(model: Model, kind: ServerModel, ceiling: u64, cost: u32, least: f64) {
        let quota = Quota::per_second(100).model(model).expect("it holds");
        let quota = quota.jitter_ceiling(Duration::from_millis(ceiling));
        let rate = rate_of_costs(quota, kind, cost, 0.1);
        assert!(rate >= least - 3.0, "{rate} of {quota:?} with {cost}");
    }
    let (size, refill) = (100, 100);
    let models = [
        (
            Model::Unknown,
            ServerModel::SlidingLog,
            100,
            [90.0, 82.0, 73.0, 45.0],
        ),
        (
            Model::Unknown,
            ServerModel::SlidingLog,
            2,
            [98.0, 90.0, 80.0, 50.0],
        ),
        (
            Model::SlidingLog,
            ServerModel::SlidingLog,
            100,
            [99.0, 93.0, 87.0, 61.0],
        ),
        (
            Model::TokenBucket { size, refill },
            ServerModel::TokenBucket { size, refill },
            100,
            [100.0, 99.0, 98.0, 94.0],
        ),
    ];
    for (model, kind, ceiling, least) in models {
        for (cost, least) in [1, 10, 20, 50].into_iter().zip(least) {
            check(model, kind, ceiling, cost, least);
        }
    }
}

/// Returns a simulation of a limit like GitHub's: 5,000 an hour in fixed windows, the first of
/// which ends in 20 minutes.
fn github(one_way: u64, used: u32) -> Simulation {
    let hourly = Quota::per_hour(5_000);
    let scenario = Scenario {
        delays: Delays {
            least: Duration::from_millis(one_way),
            jitter: Duration::ZERO,
            ..Delays::STEADY
        },
        phase: 2.0 / 3.0,
        states: true,
        used,
        ..Scenario::new(hourly, ServerModel::FixedWindow)
    };
    Simulation::new(scenario)
}

fn time_of_departure(simulation: &mut Simulation, requests: usize) -> f64 {
    while simulation.departed.len() < requests {
        simulation.step();
    }
    let last = simulation.departed[requests - 1];
    last.since(Moment::ORIGIN).as_secs_f64()
}

#[test]
fn a_stated_limit_is_used_at_once_and_not_exceeded() {
    fn check(one_way: u64, used: u32, requests: usize, most: f64) {
        let mut simulation = github(one_way, used);
        let time = time_of_departure(&mut simulation, requests);
        println!("{requests} by {time:.2} s at {one_way} ms, {used} used by others");
        assert!(time <= most, "{requests} by {time} s at {one_way} ms");
        assert_eq!(simulation.outcome.throttled, 0);
    }
    check(5, 0, 20, 0.32);
    check(150, 0, 20, 0.92);
    check(5, 0, 5_000, 53.0);
    check(150, 0, 5_000, 56.0);
    check(5, 0, 6_000, 1_213.0);
    check(150, 0, 6_000, 1_214.0);
    check(5, 1_200, 3_800, 41.0);
}

#[test]
fn a_stated_limit_above_the_configured_one_changes_nothing() {
    let scenario = Scenario {
        real: Quota::per_hour(15_000),
        states: true,
        ..Scenario::new(Quota::per_hour(5_000), ServerModel::FixedWindow)
    };
    let mut simulation = Simulation::new(scenario);
    while simulation.now < Moment::ORIGIN + seconds(3 * 3_600) {
        simulation.step();
    }
    // The server's windows: the first one has lasted for a quarter of an hour.
    let mut windows = [0; 4];
    for &(at, cost) in &simulation.arrived {
        let at = at.since(Moment::ORIGIN).as_secs() + 900;
        windows[usize::try_from(at / 3_600).expect("hours are few")] += cost;
    }
    assert!(windows.iter().all(|&used| used <= 5_000), "{windows:?}");
    assert!(windows[1] >= 4_500, "{windows:?}");
}

/// The fields of such a server mean something else.
#[test]
fn a_remaining_that_never_changes_lets_few_more_requests_depart() {
    let mut limiter = Limiter::new(Quota::per_hour(5_000));
    let stated = pacing::fields::StatedLimit {
        limit: Some(5_000),
        remaining: 4_999,
        reset: seconds(3_600),
        unit: None,
    };
    let (mut now, mut departed) = (Moment::ORIGIN, 0);
    while now < Moment::ORIGIN + seconds(3_600) {
        match limiter.due(now) {
            Due::At(due) => now = due,
            Due::OnAnswer => unreachable!("all are answered"),
            Due::Now => {
                let departure = limiter.depart(now);
                departed += 1;
                limiter.answer_with(departure, now, Feedback::Accepted, &[stated]);
            }
        }
    }
    assert!(departed <= 5_200, "{departed}");
}

#[test]
fn a_429_that_states_nothing_remaining_waits_for_the_reset() {
    fn check(quota: Quota, retry_after: Option<u64>, reset: u64, opens: u64) {
        let mut limiter = Limiter::new(quota);
        let now = Moment::ORIGIN + seconds(10);
        let _ = limiter.due(Moment::ORIGIN);
        let departure = limiter.depart(now);
        let stated = pacing::fields::StatedLimit {
            limit: None,
            remaining: 0,
            reset: seconds(reset),
            unit: None,
        };
        let feedback = Feedback::Throttled(retry_after.map(seconds));
        limiter.answer_with(departure, now, feedback, &[stated]);
        let closed = limiter.open_from().since(now);
        assert_eq!(closed.as_secs(), opens, "{reset} {retry_after:?}");
    }
    let hourly = Quota::per_hour(5_000);
    let daily = Quota::new(10_000, seconds(86_400)).expect("neither is zero");
    check(hourly, None, 300, 301);
    check(hourly, Some(30), 300, 30);
    check(daily, None, 72_000, 72_001);
    check(daily, None, 200_000, 86_443);
    check(Quota::per_second(10), None, 300, 1);
}

#[test]
fn no_request_is_throttled_after_a_restart() {
    let hourly = Quota::per_hour(5_000);
    let second = Quota::per_second(100);
    let scenarios = [(hourly, 14_000), (hourly, 73_000), (hourly, 600_000)];
    let short = [300, 700, 1_900, 7_300].map(|millis| (second, millis));
    for (quota, millis) in scenarios.into_iter().chain(short) {
        for kind in [
            ServerModel::SlidingLog,
            ServerModel::FixedWindow,
            ServerModel::SlidingCounter,
        ] {
            let scenario = Scenario {
                restarts: Some(Duration::from_millis(millis)),
                ..Scenario::new(quota, kind)
            };
            let time = (quota.window() * 4).max(seconds(60));
            let outcome = scenario.run(Duration::ZERO, time);
            assert_eq!(
                outcome.throttled, 0,
                "{millis} ms before {kind:?}: {outcome:?}"
            );
        }
    }
}

#[test]
fn the_burst_of_an_unused_limit_departs_at_once() {
    fn check(quota: Quota, requests: usize, most: f64) {
        let scenario = Scenario {
            delays: Delays {
                least: Duration::from_millis(5),
                jitter: Duration::ZERO,
                ..Delays::STEADY
            },
            ..Scenario::new(quota.unused_at_start(), ServerModel::FixedWindow)
        };
        let mut simulation = Simulation::new(scenario);
        let time = time_of_departure(&mut simulation, requests);
        println!("{requests} by {time:.2} s of {quota:?}");
        assert!(time <= most, "{requests} by {time}: {quota:?}");
        assert_eq!(simulation.outcome.throttled, 0);
    }
    let hourly = Quota::per_hour(5_000);
    let whole = hourly
        .model(Model::FixedWindow)
        .and_then(|quota| quota.burst(5_000));
    check(hourly, 20, 0.011);
    check(hourly, 5_000, 3_603.0);
    check(whole.expect("it holds"), 20, 0.011);
    check(whole.expect("it holds"), 5_000, 0.021);
}

#[test]
fn a_settled_cost_replaces_the_estimate() {
    let mut limiter = Limiter::new(Quota::per_second(100));
    let _ = limiter.due(Moment::ORIGIN);
    let now = Moment::ORIGIN + seconds(10);
    let departure = limiter.depart_with(Cost::of(40), now);
    assert_eq!((limiter.in_flight(), limiter.counted(now)), (40, 40));
    let cheaper = limiter.settle(departure, Cost::of(5), now);
    assert_eq!((limiter.in_flight(), limiter.counted(now)), (5, 5));
    let dearer = limiter.settle(cheaper, Cost::of(70), now);
    assert_eq!((limiter.in_flight(), limiter.counted(now)), (70, 70));
    let Due::At(next) = limiter.due(now) else {
        panic!("a cost of 70 takes time")
    };
    assert!(next.since(now) > Duration::from_millis(600));
    limiter.answer(dearer, now, Feedback::Accepted);
    assert_eq!((limiter.in_flight(), limiter.counted(now)), (0, 70));
}
