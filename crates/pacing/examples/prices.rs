//! Prints the tables of the guide: the throughput of every setting, and throttled requests.
//! `cargo run --release -p pacing --example prices`.
//!
//! The figures are those of a saturated client in simulated time, and the same in every run.

#[path = "../tests/limiter/measure.rs"]
mod measure;
#[path = "../tests/limiter/path.rs"]
mod path;
#[path = "../tests/limiter/servers.rs"]
mod servers;
#[path = "../tests/limiter/simulation.rs"]
mod simulation;

use std::time::Duration;

use pacing::{Model, Quota, UnsafeQuota};

use measure::{
    PATHS, Throughput, rate_of_costs, share_between_blocks, share_of_slow_answers,
    share_with_a_competitor, throttled_after_restarts, throttled_blocked_runs, throughput,
};
use servers::ServerModel;

const COUNTERS: [ServerModel; 2] = [ServerModel::SlidingCounter, ServerModel::StrictCounter];

fn main() -> Result<(), UnsafeQuota> {
    print_paths()?;
    print_limits()?;
    print_windows()?;
    print_slow_answers()?;
    print_costs()?;
    print_competitors();
    print_blocks();
    print_between_blocks()?;
    print_restarts();
    Ok(())
}

fn print_paths() -> Result<(), UnsafeQuota> {
    println!("Used of 100 requests a second: at first -> once jitter is learned\n");
    println!("| round trip | W/(W + round trip) | `Unknown` | `SlidingLog` | `TokenBucket` |");
    println!("|---|---|---|---|---|");
    let quota = Quota::per_second(100);
    let log = quota.model(Model::SlidingLog)?;
    let (size, refill) = (100, 100);
    let bucket = quota.model(Model::TokenBucket { size, refill })?;
    for (name, delays) in PATHS {
        let unknown = throughput(quota, delays, ServerModel::SlidingLog);
        let log = throughput(log, delays, ServerModel::SlidingLog);
        let bucket = throughput(bucket, delays, ServerModel::TokenBucket { size, refill });
        let bound = format!("{:.1} %", unknown.bound * 100.0);
        let [unknown, log, bucket] = [unknown, log, bucket].map(shown);
        println!("| {name} | {bound} | {unknown} | {log} | {bucket} |");
    }
    println!();
    Ok(())
}

fn print_limits() -> Result<(), UnsafeQuota> {
    println!("Used by limit, at a round trip of 1 ms\n");
    println!("| requests a second | `Unknown`, jitter 100 ms | 2 ms | `SlidingLog` |");
    println!("|---|---|---|---|");
    for limit in [1, 10, 100, 1_000, 10_000] {
        let quota = Quota::per_second(limit);
        let quotas = [
            quota,
            quota.jitter_ceiling(Duration::from_millis(2)),
            quota.model(Model::SlidingLog)?,
        ];
        let used =
            quotas.map(|quota| shown(throughput(quota, PATHS[0].1, ServerModel::SlidingLog)));
        println!("| {limit} | {} |", used.join(" | "));
    }
    println!();
    Ok(())
}

fn print_windows() -> Result<(), UnsafeQuota> {
    println!("`Unknown` by window, at a limit of 100 and a round trip of 1 ms\n");
    println!("| window | used |");
    println!("|---|---|");
    for window in [10, 100, 1_000, 10_000, 60_000].map(Duration::from_millis) {
        let used = throughput(
            Quota::new(100, window)?,
            PATHS[0].1,
            ServerModel::SlidingLog,
        );
        println!("| {window:?} | {} |", shown(used));
    }
    println!();
    Ok(())
}

fn print_slow_answers() -> Result<(), UnsafeQuota> {
    println!("Used of 100 requests a second, by the time that the server takes to answer\n");
    println!(
        "| answers after | {} |",
        SLOW.map(|slow| slow.0).join(" | ")
    );
    println!("|---|{}", "---|".repeat(SLOW.len()));
    let second = Quota::per_second(100);
    let minute = Quota::per_minute(6_000);
    let (size, refill) = (100, 100);
    let rows = [
        ("`Unknown`", second),
        (
            "and `max_transit` of 250 ms",
            second.max_transit(Duration::from_millis(250)),
        ),
        ("`SlidingLog`", second.model(Model::SlidingLog)?),
        (
            "`TokenBucket`",
            second.model(Model::TokenBucket { size, refill })?,
        ),
        ("`Unknown`, 6,000 a minute", minute),
        (
            "`Unknown`, `counted_until_answered`",
            second.counted_until_answered(),
        ),
    ];
    for (name, quota) in rows {
        let shares = SLOW.map(|(_, share, seconds)| {
            let slow_for = Duration::from_secs(seconds);
            let used = share_of_slow_answers(quota, Duration::ZERO, share, slow_for);
            format!("{:.0} %", used * 100.0)
        });
        println!("| {name} | {} |", shares.join(" | "));
    }
    println!();
    Ok(())
}

/// A column of the table: the share of slow answers, and their time in seconds.
const SLOW: [(&str, f64, u64); 5] = [
    ("10 to 20 ms", 0.0, 0),
    ("2 s", 1.0, 2),
    ("20 s", 1.0, 20),
    ("60 s", 1.0, 60),
    ("20 ms, 5 % of them 30 s", 0.05, 30),
];

fn print_costs() -> Result<(), UnsafeQuota> {
    println!("Cost a second of a limit of 100, by the mix of costs\n");
    println!("| mix | `Unknown`, jitter 100 ms | 2 ms | `SlidingLog` | `TokenBucket` of 100 |");
    println!("|---|---|---|---|---|");
    let second = Quota::per_second(100);
    let (size, refill) = (100, 100);
    let models = [
        (second, ServerModel::SlidingLog),
        (
            second.jitter_ceiling(Duration::from_millis(2)),
            ServerModel::SlidingLog,
        ),
        (second.model(Model::SlidingLog)?, ServerModel::SlidingLog),
        (
            second.model(Model::TokenBucket { size, refill })?,
            ServerModel::TokenBucket { size, refill },
        ),
    ];
    let mixes = [1, 20, 50, 100].map(|cost| [(cost, 0.01), (cost, 0.1), (cost, 1.0)]);
    for (cost, heavy) in mixes.into_iter().flatten() {
        let rates =
            models.map(|(quota, kind)| format!("{:.0}", rate_of_costs(quota, kind, cost, heavy)));
        match cost {
            1 if heavy < 1.0 => {}
            1 => println!("| all 1 | {} |", rates.join(" | ")),
            _ => println!(
                "| {:.0} % of {cost} | {} |",
                heavy * 100.0,
                rates.join(" | ")
            ),
        }
    }
    println!();
    Ok(())
}

fn print_competitors() {
    println!("Another client takes a share of the limit, for ten minutes\n");
    println!("| limit | taken | throttled a minute | used of the rest |");
    println!("|---|---|---|---|");
    for limit in [100, 1_000] {
        for taken in [0.3, 0.6] {
            let shared = share_with_a_competitor(limit, taken, 10);
            let (throttled, used) = (shared.throttled_a_minute, shared.used * 100.0);
            println!(
                "| {limit} | {:.0} % | {throttled:.1} | {used:.0} % |",
                taken * 100.0
            );
        }
    }
    println!();
}

fn print_blocks() {
    println!(
        "A path blocked for 0.2 to 5 s and then flushed: runs of 200 with throttled requests\n"
    );
    for kind in COUNTERS {
        println!("- {kind:?}: {}", throttled_blocked_runs(kind, 200));
    }
    println!();
}

fn print_between_blocks() -> Result<(), UnsafeQuota> {
    println!("`SlidingLog` on such a path for an hour: used of L W/(W + mean round trip)\n");
    println!("| limit | window | as it is | with a burst of the whole limit |");
    println!("|---|---|---|---|");
    for (limit, window) in [(100, 1), (1_000, 1), (100, 5), (1_000, 5)] {
        let spaced = Quota::new(limit, Duration::from_secs(window))?.model(Model::SlidingLog)?;
        let [spaced, burst] = [spaced, spaced.burst(limit)?].map(|quota| {
            let (share, throttled) = share_between_blocks(quota);
            format!("{:.1} %, {throttled} throttled", share * 100.0)
        });
        println!("| {limit} | {window} s | {spaced} | {burst} |");
    }
    println!();
    Ok(())
}

fn print_restarts() {
    println!("Throttled requests of a process that is restarted every 7 windows, 200 times\n");
    for kind in COUNTERS
        .into_iter()
        .chain([ServerModel::SlidingLog, ServerModel::FixedWindow])
    {
        let throttled = throttled_after_restarts(Model::Unknown, kind, 100, 200);
        println!("- `Unknown` before {kind:?}: {throttled}");
    }
    for model in [Model::SlidingLog, Model::FixedWindow] {
        let throttled = throttled_after_restarts(model, ServerModel::SlidingLog, 100, 200);
        println!("- `{model:?}` before SlidingLog: {throttled}");
    }
}

fn shown(used: Throughput) -> String {
    let [at_first, learned] = [used.at_first, used.learned].map(|share| share * 100.0);
    match used.throttled {
        0 => format!("{at_first:.1} -> {learned:.1} %"),
        throttled => format!("{throttled} throttled"),
    }
}
