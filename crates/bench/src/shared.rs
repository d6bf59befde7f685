//! One quota for eight processes, in simulated time: an equal part for each process, a count that
//! is synchronized, leases of tokens, and the departure times of `pacing::shared`.
//!
//! The quota is 100 requests a second, with the assumed jitter of 100 ms. A round trip to the store
//! takes 1 to 3 ms, and the way to the server 5 to 50 ms. A busy process always has requests that
//! wait, and sends them as soon as it may.

mod peers;
// The simulation of ours is the one that tests it.
#[expect(dead_code, reason = "nothing happens to the store here")]
#[path = "../../pacing/tests/limiter/processes.rs"]
mod processes;
#[expect(dead_code, reason = "two of the models are enough here")]
#[path = "../../pacing/tests/limiter/servers.rs"]
mod servers;

use std::time::Duration;

use pacing::Quota;

use self::peers::{Peers, Way};
use self::processes::Scenario;
use self::servers::ServerModel;

const PROCESSES: usize = 8;
const SECONDS: u64 = 60;
/// Each run has another phase of the server's window, and other round trips.
const SEEDS: u64 = 5;

const STORE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(3));
const TRANSIT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// The tokens of one lease.
const LEASED: u32 = 10;

/// The requests that come to a process per second; infinite if it always has some.
type Load = fn(usize) -> f64;

const LOADS: [(&str, Load); 3] = [
    ("eight busy", |_| f64::INFINITY),
    ("one busy, seven idle", |index| match index {
        0 => f64::INFINITY,
        _ => 0.0,
    }),
    ("three busy, five with 2 a second", |index| {
        match index % 3 {
            0 => f64::INFINITY,
            _ => 2.0,
        }
    }),
];

/// The sum of some runs.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    departed: u64,
    throttled: u64,
    calls: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.departed += other.departed;
        self.throttled += other.throttled;
        self.calls += other.calls;
    }
}

/// The server has seen no request before, so the first one need not wait for a window.
fn quota() -> Quota {
    Quota::per_second(100).unused_at_start()
}

/// Returns the time between two leases that keeps the limit, if tokens are valid for this time.
///
/// Leases of k tokens are requests of cost k that arrive up to `valid` later, so a window has one
/// interval less than it has leases, and is longer by `valid` and the jitter.
fn safe_interval(valid: Duration) -> Duration {
    let window = quota().spacing() * (quota().limit() - 1);
    (window + valid) / (quota().limit() / LEASED - 1)
}

/// Returns the names of the ways to share a quota, and how to run each.
fn ways() -> Vec<(&'static str, Option<Way>)> {
    let second = Duration::from_secs(1);
    let tenth = Duration::from_millis(100);
    let leases = |valid, interval| Some(Way::Leases { valid, interval });
    vec![
        ("an equal part for each", Some(Way::Parts)),
        (
            "a count, synchronized every 10 ms",
            Some(Way::Counts {
                interval: Duration::from_millis(10),
            }),
        ),
        (
            "leases of 10 for 1 s, 100 tokens a second",
            leases(second, second * LEASED / quota().limit()),
        ),
        (
            "leases of 10 for 1 s, at a rate that keeps the limit",
            leases(second, safe_interval(second)),
        ),
        (
            "leases of 10 for 0.1 s, likewise",
            leases(tenth, safe_interval(tenth)),
        ),
        ("departure times (ours)", None),
    ]
}

/// Prints what each way costs for each load, as a table in Markdown.
pub(crate) fn print() {
    println!(
        "\n| load | the processes have | departures/s | throttled by a sliding log | by a sliding counter | store calls a departure |"
    );
    println!("|---|---|--:|--:|--:|--:|");
    for (load_name, load) in LOADS {
        for (name, way) in ways() {
            let log = sum(way, load, ServerModel::SlidingLog);
            let counter = sum(way, load, ServerModel::SlidingCounter);
            let (departed, calls) = (log.departed + counter.departed, log.calls + counter.calls);
            let runs = 2 * SEEDS * SECONDS;
            let part = |count: Count| count.throttled as f64 / count.departed as f64 * 100.0;
            println!(
                "| {load_name} | {name} | {:.1} | {} | {} | {} |",
                departed as f64 / runs as f64,
                shown(part(log), " %"),
                shown(part(counter), " %"),
                shown(calls as f64 / departed as f64, "")
            );
        }
    }
}

/// None and few must look different.
fn shown(number: f64, unit: &str) -> String {
    match number {
        0.0 => "0".to_owned(),
        number => format!("{number:.2}{unit}"),
    }
}

fn sum(way: Option<Way>, load: Load, model: ServerModel) -> Count {
    let mut sum = Count::default();
    for seed in 0..SEEDS {
        sum.add(match way {
            Some(way) => Peers::new(way, load, model, seed).run(),
            None => ours(load, model, seed),
        });
    }
    sum
}

fn ours(load: Load, model: ServerModel, seed: u64) -> Count {
    let scenario = Scenario {
        quota: quota(),
        model,
        others: Vec::new(),
        by_request: false,
        cost: |_| 1,
        competitor: 0.0,
        processes: PROCESSES,
        seconds: SECONDS,
        load,
        store: STORE,
        transit: TRANSIT,
        drift: 0.0,
        faults: Vec::new(),
        seed,
    };
    let outcome = scenario.run();
    Count {
        departed: outcome.total(),
        throttled: outcome.throttled.len() as u64,
        calls: outcome.calls,
    }
}
