//! One quota for many processes.

use std::time::Duration;

use pacing::shared::{Call, Record, SharedQuota};
use pacing::{Cost, Quota};

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
