//! Prints what the modes cost and what they are worth:
//! `cargo run --release -p pacing --example prices`.
//!
//! The figures are measured by a saturated client on virtual time, and are the same in every run.

#[path = "../tests/referee/path.rs"]
mod path;
#[path = "../tests/referee/servers.rs"]
mod servers;
#[path = "../tests/referee/trials.rs"]
mod trials;
#[path = "../tests/referee/world.rs"]
mod world;

use std::time::Duration;

use pacing::{Model, Quota, UnsafeQuota};

use servers::Kind;
use trials::{
    PATHS, Price, blocked_runs_refused, price, rate_of_costs, refused_after_restarts,
    share_between_blocks, share_of_slow_answers, share_with_a_competitor,
};

const COUNTERS: [Kind; 2] = [Kind::SlidingCounter, Kind::StrictCounter];

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
    for (name, weather) in PATHS {
        let unknown = price(quota, weather, Kind::SlidingLog);
        let log = price(log, weather, Kind::SlidingLog);
        let bucket = price(bucket, weather, Kind::TokenBucket { size, refill });
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
        let used = quotas.map(|quota| shown(price(quota, PATHS[0].1, Kind::SlidingLog)));
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
        let price = price(Quota::new(100, window)?, PATHS[0].1, Kind::SlidingLog);
        println!("| {window:?} | {} |", shown(price));
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

/// Which share of the answers comes after so many seconds.
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
        (second, Kind::SlidingLog),
        (
            second.jitter_ceiling(Duration::from_millis(2)),
            Kind::SlidingLog,
        ),
        (second.model(Model::SlidingLog)?, Kind::SlidingLog),
        (
            second.model(Model::TokenBucket { size, refill })?,
            Kind::TokenBucket { size, refill },
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
    println!("Somebody else takes a share of the limit, for ten minutes\n");
    println!("| limit | taken | refused a minute | used of what is free |");
    println!("|---|---|---|---|");
    for limit in [100, 1_000] {
        for taken in [0.3, 0.6] {
            let shared = share_with_a_competitor(limit, taken, 10);
            let (refused, used) = (shared.refused_a_minute, shared.used * 100.0);
            println!(
                "| {limit} | {:.0} % | {refused:.1} | {used:.0} % |",
                taken * 100.0
            );
        }
    }
    println!();
}

fn print_blocks() {
    println!(
        "A path blocked for 0.2 to 5 s and then flushed: runs of 200 in which something is refused\n"
    );
    for kind in COUNTERS {
        println!("- {kind:?}: {}", blocked_runs_refused(kind, 200));
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
            let (share, refused) = share_between_blocks(quota);
            format!("{:.1} %, {refused} refused", share * 100.0)
        });
        println!("| {limit} | {window} s | {spaced} | {burst} |");
    }
    println!();
    Ok(())
}

fn print_restarts() {
    println!("Refused to a process that is restarted every 7 windows, 200 times\n");
    for kind in COUNTERS
        .into_iter()
        .chain([Kind::SlidingLog, Kind::FixedWindow])
    {
        let refused = refused_after_restarts(Model::Unknown, kind, 100, 200);
        println!("- `Unknown` before {kind:?}: {refused}");
    }
    for model in [Model::SlidingLog, Model::FixedWindow] {
        let refused = refused_after_restarts(model, Kind::SlidingLog, 100, 200);
        println!("- `{model:?}` before SlidingLog: {refused}");
    }
}

fn shown(price: Price) -> String {
    let [at_first, learned] = [price.at_first, price.learned].map(|share| share * 100.0);
    match price.refused {
        0 => format!("{at_first:.1} -> {learned:.1} %"),
        refused => format!("{refused} refused"),
    }
}
