//! One quota for many processes.

use std::time::Duration;

use pacing::shared::{Call, Record, SharedQuota};
use pacing::{Cost, Model, Quota};
use rand::RngExt;

use super::processes::{Fault, Scenario};
use super::servers::ServerModel;

const MODELS: [ServerModel; 4] = [
    ServerModel::SlidingLog,
    ServerModel::FixedWindow,
    ServerModel::SlidingCounter,
    ServerModel::TokenBucket {
        size: 100,
        refill: 100,
    },
];

fn millis(least: u64, most: u64) -> (Duration, Duration) {
    (Duration::from_millis(least), Duration::from_millis(most))
}

fn scenario() -> Scenario {
    Scenario {
        quota: Quota::per_second(100),
        model: ServerModel::SlidingLog,
        others: Vec::new(),
        by_request: false,
        cost: |_| 1,
        competitor: 0.0,
        processes: 8,
        seconds: 30,
        load: |_| f64::INFINITY,
        store: millis(1, 3),
        transit: millis(5, 50),
        drift: 500.0,
        faults: Vec::new(),
        seed: 1,
    }
}

/// Returns the rate at which the quota hands out departure times.
fn rate(limit: u32) -> f64 {
    f64::from(limit - 1) / (1.0015 + 0.102)
}

#[test]
fn eight_busy_processes_share_a_quota_equally_and_none_is_throttled() {
    for (model, seed) in MODELS
        .into_iter()
        .flat_map(|model| [(model, 1), (model, 2)])
    {
        let outcome = Scenario {
            model,
            seed,
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0], "{model:?} {seed}");
        // The first window has no departures: the store knew nothing of the quota.
        let most = rate(100) * 29.0;
        assert!(outcome.total() as f64 >= 0.97 * most, "{}", outcome.total());
        let mean = outcome.total() as f64 / 8.0;
        for &departed in &outcome.departed {
            assert!(
                (departed as f64 / mean - 1.0).abs() < 0.05,
                "{:?}",
                outcome.departed
            );
        }
        assert!(outcome.calls < 8 * 30 * 15, "{} calls", outcome.calls);
    }
}

#[test]
fn a_busy_process_has_the_quota_for_itself_while_the_others_are_idle() {
    let load = |index| if index == 0 { f64::INFINITY } else { 0.0 };
    let outcome = Scenario { load, ..scenario() }.run();
    assert!(
        outcome.departed[0] as f64 >= 0.97 * rate(100) * 29.0,
        "{:?}",
        outcome.departed
    );
}

#[test]
fn a_thousand_processes_with_uneven_load_and_drifting_clocks_use_the_quota() {
    for limit in [100, 1_000] {
        let outcome = Scenario {
            quota: Quota::per_second(limit),
            processes: 1_000,
            seconds: 61,
            load: |index| if index % 3 == 0 { f64::INFINITY } else { 0.2 },
            store: millis(1, 20),
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0], "{limit}");
        let share = outcome.total() as f64 / (rate(limit) * 60.0);
        assert!(share >= 0.95, "{limit}: {share}");
        let calls = outcome.calls as f64 / outcome.total() as f64;
        assert!(calls <= 2.5, "{limit}: {calls} calls a departure");
    }
}

#[test]
fn a_store_that_stops_or_forgets_throttles_none_and_costs_at_most_a_window() {
    use Fault::{IsEmpty, Restores, Returns, Saves, Stops};
    for (name, faults) in [
        ("stops", vec![(10.0, Stops), (15.0, Returns)]),
        (
            "stops and forgets",
            vec![(10.0, Stops), (15.0, IsEmpty), (15.0, Returns)],
        ),
        ("has an old snapshot", vec![(8.0, Saves), (10.0, Restores)]),
        (
            "has an old snapshot later",
            vec![
                (8.0, Saves),
                (10.0, Stops),
                (11.0, Restores),
                (15.0, Returns),
            ],
        ),
        ("forgets", vec![(10.0, IsEmpty)]),
        ("never returns", vec![(10.0, Stops)]),
    ] {
        for seed in 0..5 {
            let outcome = Scenario {
                faults: faults.clone(),
                seed,
                ..scenario()
            }
            .run();
            assert_eq!(outcome.throttled, [0.0; 0], "{name}");
            let tenths = &outcome.tenths[10..];
            let silence = tenths.split(|&count| count > 0).map(<[u64]>::len).max();
            assert!(silence <= Some(10), "{name}: {tenths:?}");
            let last: u64 = tenths[tenths.len() - 100..].iter().sum();
            let least = if name == "never returns" { 0.7 } else { 0.97 };
            assert!(last as f64 >= least * rate(100) * 10.0, "{name}: {last}");
        }
    }
}

/// One process waits for the next departure time while the others wait behind it, however far apart
/// the times are.
#[test]
fn a_slow_quota_is_used_and_shared_equally_too() {
    for (limit, window, least) in [
        (1, 1, 26),
        (2, 1, 52),
        (5, 1, 210),
        (10, 60, 77),
        (60, 60, 515),
    ] {
        let quota = Quota::new(limit, Duration::from_secs(window)).expect("the quota is valid");
        let outcome = Scenario {
            quota,
            seconds: (window * 60).min(600),
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0], "{limit} in {window} s");
        assert!(outcome.total() >= least, "{limit}: {}", outcome.total());
        let most = outcome.departed.iter().copied().max();
        let fewest = outcome.departed.iter().min().map(|fewest| fewest + 2);
        assert!(most <= fewest, "{limit}: {:?}", outcome.departed);
    }
}

#[test]
fn a_fast_quota_is_used() {
    let outcome = Scenario {
        quota: Quota::per_second(10_000),
        seconds: 3,
        ..scenario()
    }
    .run();
    assert_eq!(outcome.throttled, [0.0; 0]);
    let least = 0.97 * rate(10_000) * 2.0;
    assert!(outcome.total() as f64 >= least, "{}", outcome.total());
}

#[test]
fn an_hourly_limit_has_its_burst_and_is_kept() {
    for model in [ServerModel::SlidingLog, ServerModel::SlidingCounter] {
        let outcome = Scenario {
            quota: Quota::per_hour(1_000).unused_at_start(),
            model,
            seconds: 8_000,
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0], "{model:?}");
        assert!((19..=22).contains(&outcome.between(0, 10)));
        assert!(outcome.total() >= 2_150, "{}", outcome.total());
    }
}

#[test]
fn costs_up_to_half_of_the_limit_are_spaced_for_all_processes() {
    let loads = |index| [f64::INFINITY, 3.0, f64::INFINITY, 1.0, 0.2, 5.0, 0.0, 10.0][index % 8];
    for model in MODELS {
        let any = Scenario {
            model,
            cost: |rng| rng.random_range(1..=50),
            seconds: 60,
            ..scenario()
        };
        let few = Scenario {
            cost: |rng| if rng.random_bool(0.1) { 20 } else { 1 },
            load: loads,
            ..any.clone()
        };
        // At most 45/s and 73/s; a time for a lower cost than that of the next waiter is lost.
        for (scenario, least) in [(any, 33.0), (few, 62.0)] {
            let outcome = scenario.run();
            assert_eq!(outcome.throttled, [0.0; 0], "{model:?}");
            let rate = outcome.cost as f64 / 59.0;
            assert!(rate >= least, "{model:?}: {rate}");
        }
    }
}

#[test]
fn a_bucket_that_is_smaller_than_the_limit_and_several_limits_are_kept() {
    let (size, refill) = (20, 100);
    let bucket = Quota::per_second(100).model(Model::TokenBucket { size, refill });
    let small = Scenario {
        quota: bucket.expect("the bucket is valid"),
        model: ServerModel::TokenBucket { size, refill },
        ..scenario()
    };
    let units = Quota::per_second(100);
    let both = Quota::per_second(20).by_request().and(units);
    let both = Scenario {
        quota: both.expect("the limits are valid"),
        by_request: true,
        others: vec![
            (ServerModel::SlidingLog, units),
            (ServerModel::SlidingCounter, units),
        ],
        cost: |rng| rng.random_range(1..=5),
        ..scenario()
    };
    for (scenario, least) in [(small, 2_850), (both, 480)] {
        let outcome = scenario.run();
        assert_eq!(outcome.throttled, [0.0; 0], "{:?}", scenario.quota);
        assert!(outcome.total() >= least, "{}", outcome.total());
    }
}

/// A single process gets 8 to 12 throttled responses, and 52 to 55 requests per second.
#[test]
fn the_processes_share_one_gate_and_one_climb_against_a_competitor() {
    for (competitor, throttled, least) in [(30.0, 20, 50.0), (60.0, 28, 24.0)] {
        let outcome = Scenario {
            competitor,
            seconds: 120,
            ..scenario()
        }
        .run();
        let rate = outcome.total() as f64 / 120.0;
        assert!(
            outcome.throttled.len() <= throttled && rate >= least,
            "{competitor}: {rate} {:?}",
            outcome.throttled
        );
    }
}

#[test]
fn a_short_stop_of_the_store_throttles_none() {
    use Fault::{Pauses, Refuses, Returns, Stops};
    for fault in [Stops, Refuses, Pauses] {
        for (millis, processes) in [(50, 8), (100, 30), (200, 8), (350, 8), (350, 90), (600, 30)] {
            let returns = 5.0 + f64::from(millis) / 1e3;
            for model in [ServerModel::SlidingLog, ServerModel::StrictCounter] {
                let outcome = Scenario {
                    model,
                    processes,
                    seconds: 10,
                    faults: vec![(5.0, fault), (returns, Returns)],
                    ..scenario()
                }
                .run();
                assert_eq!(
                    outcome.throttled, [0.0; 0],
                    "{fault:?} {millis} {processes}"
                );
            }
        }
    }
}

#[test]
fn a_paused_store_that_answers_old_calls_at_once_throttles_none() {
    for seed in 0..5 {
        let outcome = Scenario {
            faults: vec![(10.0, Fault::Pauses), (15.0, Fault::Returns)],
            seed,
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0]);
        let (from, to) = (170, 300);
        assert!(outcome.between(from, to) as f64 >= 0.97 * rate(100) * 13.0);
    }
}

#[test]
fn a_clock_of_the_store_that_jumps_stops_departures_for_the_memory_at_most() {
    for seconds in [-3_600, -1, 3_600] {
        let outcome = Scenario {
            faults: vec![(10.0, Fault::ClockMoves(seconds * 1_000_000))],
            ..scenario()
        }
        .run();
        assert_eq!(outcome.throttled, [0.0; 0], "{seconds}");
        let (from, to) = (125, 300);
        let after = outcome.between(from, to) as f64;
        assert!(after >= 0.97 * rate(100) * 17.5, "{seconds}: {after}");
        assert_eq!(outcome.away, 0);
    }
}

#[test]
fn without_the_store_a_limit_that_has_no_equal_parts_is_kept_on_average() {
    let bucket = Quota::per_second(100).model(Model::TokenBucket {
        size: 20,
        refill: 50,
    });
    let processes = Scenario {
        processes: 150,
        seconds: 40,
        faults: vec![(10.0, Fault::Stops)],
        ..scenario()
    };
    let small = Scenario {
        processes: 25,
        quota: bucket.expect("the bucket is valid"),
        model: ServerModel::TokenBucket {
            size: 20,
            refill: 50,
        },
        ..processes.clone()
    };
    let costs = Scenario {
        processes: 8,
        cost: |rng| rng.random_range(1..=50),
        ..processes.clone()
    };
    for (scenario, throttled, least) in [(processes, 0, 40.0), (small, 0, 12.0), (costs, 10, 25.0)]
    {
        let outcome = scenario.run();
        assert!(
            outcome.throttled.len() <= throttled,
            "{:?}",
            outcome.throttled
        );
        let rate = outcome.cost as f64 / 39.0;
        assert!(rate >= least, "{rate}");
        assert_eq!(outcome.away, scenario.processes as u64);
    }
}

/// The others have the whole limit meanwhile: a store cannot know that a process departs without
/// it.
#[test]
fn a_process_that_is_away_alone_has_a_few_requests_throttled() {
    for seed in 0..3 {
        let outcome = Scenario {
            faults: vec![(10.0, Fault::Parts(0)), (40.0, Fault::Joins)],
            seconds: 60,
            seed,
            ..scenario()
        }
        .run();
        assert!(outcome.throttled.len() <= 4, "{:?}", outcome.throttled);
        assert_eq!(outcome.away, 1);
        let last = outcome.between(500, 600) as f64;
        assert!(last >= 0.97 * rate(100) * 10.0, "{last}");
    }
}

/// Returns a call of a process with this quota.
fn call(process: u64, quota: &Quota, count: u32) -> Call {
    Call {
        process,
        count,
        cost: 1,
        quota: SharedQuota::new(quota, Cost::ONE),
        latest: 0,
        is_away: false,
        throttled: None,
        accepted: 0,
    }
}

/// Runs a busy process with the quota `busy` for two minutes beside one that is idle, and two more
/// after that one has ended. Returns the departures in each minute.
fn departures_beside(busy: Quota, idle: Quota) -> Vec<usize> {
    let mut record = Record::new();
    let mut minutes = vec![0; 4];
    for tick in 0..4 * 6_000 {
        let now = 1_700_000_000_000_000 + tick * 10_000;
        if tick < 2 * 6_000 && tick % 500 == 0 {
            let reply = record.apply(&call(1, &idle, 0), now);
            assert!(!reply.is_slower, "{reply:?}");
        }
        let reply = record.apply(&call(2, &busy, 5), now);
        minutes[tick as usize / 6_000] += reply.departures.len();
    }
    minutes
}

#[test]
fn a_slower_quota_holds_for_all_while_a_process_states_it() {
    let second = Quota::per_second(100);
    let minute = Quota::per_minute(100);
    let both = second.and(minute).expect("the limits differ");
    // A second limit, which the busy process does not state.
    let with_two = departures_beside(second, both);
    // An interval that is longer than the memory of the faster quota.
    let with_long = departures_beside(Quota::per_second(1), Quota::per_minute(6));
    for (minutes, limit, own) in [(with_two, 100, 5_000), (with_long, 6, 26)] {
        assert!(minutes[0] <= limit && minutes[1] <= limit, "{minutes:?}");
        assert!(minutes[1] * 10 >= limit * 6, "{minutes:?}");
        // It holds for a minute after it was stated last.
        assert!(minutes[2] < minutes[3] && minutes[3] >= own, "{minutes:?}");
    }
}
