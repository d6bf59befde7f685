//! A limit that adapts, beside the best fixed one for the same server, in the scenarios of Vector's adaptive request
//! concurrency and some more. `cargo test -p tower-pace --test layers adaptive -- --nocapture` prints the table.

use std::time::Duration;

use tower::Layer;
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};

use crate::load::{Arrival, Law, Load, Reaction, Run, Source};
use crate::server::millis;

const DELAY: Duration = millis(100);
/// What Vector's own limit reaches on a link that is never full.
const MOST: usize = 32;

struct Scenario {
    name: &'static str,
    law: Law,
    source: Source,
    quota: Option<u32>,
}

impl Scenario {
    const fn of(name: &'static str, requests: u32, law: Law) -> Self {
        let source = Source {
            requests,
            interval: Duration::ZERO,
        };
        Self {
            name,
            law,
            source,
            quota: None,
        }
    }

    async fn run(&self, layer: ConcurrencyLayer) -> Run {
        let load = Load::new(self.law);
        let client = layer.layer(load.clone());
        match self.quota {
            None => load.drive(self.source, client).await,
            Some(limit) => {
                let rate = RateLimitLayer::new(Quota::per_second(limit));
                load.drive(self.source, rate.layer(client)).await
            }
        }
    }

    /// The run of the fixed limit that has the most successes a second, and of those the fewest at the server.
    async fn best_fixed(&self) -> (usize, Run) {
        let mut best: Option<(usize, Run)> = None;
        for limit in [1, 5, 9, 10, 11, 12, MOST] {
            let run = self.run(ConcurrencyLayer::new(limit)).await;
            let is_better = |best: &Run| run.throughput() > best.throughput() * 1.001;
            if best.as_ref().is_none_or(|(_, best)| is_better(best)) {
                best = Some((limit, run));
            }
        }
        best.unwrap()
    }
}

const SCENARIOS: &[Scenario] = &[
    Scenario::of("constant-link", 500, |_| Reaction::Answers(200, DELAY)),
    Scenario {
        quota: Some(100),
        ..Scenario::of(
            "defers-at-high-rate, full stack",
            1_000,
            |Arrival { recent, .. }| Reaction::Answers(if recent < 100 { 200 } else { 429 }, DELAY),
        )
    },
    Scenario::of(
        "drops-at-high-concurrency",
        500,
        |Arrival { active, .. }| match active {
            0..=5 => Reaction::Answers(200, DELAY),
            _ => Reaction::Drops,
        },
    ),
    Scenario::of(
        "refuses-at-high-concurrency",
        500,
        |Arrival { active, .. }| match active {
            0..=5 => Reaction::Answers(200, DELAY),
            _ => Reaction::Answers(503, millis(5)),
        },
    ),
    Scenario::of("shallow-knee", 1_000, |Arrival { active, .. }| {
        let over = i32::try_from(active.saturating_sub(10)).unwrap();
        Reaction::Answers(200, DELAY.mul_f64(1.1_f64.powi(over)))
    }),
    Scenario {
        source: Source {
            requests: 100,
            interval: DELAY,
        },
        ..Scenario::of("slow-send-1", 100, |_| Reaction::Answers(200, millis(50)))
    },
    Scenario::of("queue-of-10", 1_000, |arrival| queue(arrival, 10)),
    Scenario::of(
        "queue-of-10, latency of half to one and a half",
        1_000,
        |arrival| {
            let Reaction::Answers(status, after) = queue(arrival, 10) else {
                unreachable!("a queue answers")
            };
            Reaction::Answers(status, after.mul_f64(0.5 + noise(arrival.before)))
        },
    ),
];

/// So many at once in the usual time, and more only as fast.
fn queue(arrival: Arrival, capacity: usize) -> Reaction {
    let load = arrival.active as f64 / capacity as f64;
    Reaction::Answers(200, DELAY.mul_f64(load.max(1.0)))
}

/// Something between 0 and 1 that looks like chance.
fn noise(n: usize) -> f64 {
    let hash = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 40) as f64 / f64::from(1 << 24)
}

fn adaptive() -> ConcurrencyLayer {
    ConcurrencyLayer::adaptive(Adaptive::between(1, MOST))
}

#[tokio::test(start_paused = true)]
async fn adaptive_is_near_the_best_fixed_limit_without_knowing_the_server() {
    println!(
        "\n| scenario | best n | its successes/s, latency | ours | share | mean in flight, by Little's law | most | errors |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for scenario in SCENARIOS {
        let (n, best) = scenario.best_fixed().await;
        let run = scenario.run(adaptive()).await;
        let share = run.throughput() / best.throughput();
        let little = run.throughput() * best.mean_latency();
        println!(
            "| {} | {n} | {:.1}, {:.0} ms | {:.1}, {:.0} ms | {share:.2} | {:.1}, {little:.1} | {} | {} |",
            scenario.name,
            best.throughput(),
            best.mean_latency() * 1e3,
            run.throughput(),
            run.mean_latency() * 1e3,
            run.mean_active,
            run.most_active,
            run.errors,
        );
        assert!(share >= 0.9, "{}: {share}", scenario.name);
        assert!(
            run.mean_active <= 1.5 * little,
            "{}: {}",
            scenario.name,
            run.mean_active
        );
        assert!(
            run.mean_latency() <= 1.3 * best.mean_latency(),
            "{}: {}",
            scenario.name,
            run.mean_latency()
        );
        assert!(
            scenario.quota.is_none() || run.errors == 0,
            "{}: {}",
            scenario.name,
            run.errors
        );
    }
}

/// Asserts that a hundred round trips after each change the server's capacity is used, and its queue short.
async fn check_follows(law: Law, changes: &[(u64, f64, f64)]) {
    let source = Source {
        requests: 10_500,
        interval: Duration::ZERO,
    };
    let load = Load::new(law);
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let run = load.drive(source, layer.layer(load.clone())).await;
    for &(second, capacity, delay) in changes {
        let begin = Duration::from_secs(second) + DELAY * 100;
        let (rate, latency) = run.between(begin, begin + Duration::from_secs(10));
        println!(
            "from {second} s on: {rate:.1}/s of {capacity}/s at {:.0} ms",
            latency * 1e3
        );
        assert!(
            rate >= 0.8 * capacity && latency <= 1.3 * delay,
            "{second}: {rate}, {latency}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_capacity_that_falls_and_rises_is_followed_within_a_hundred_round_trips() {
    let law: Law = |arrival| match arrival.at.as_secs() {
        20..50 => queue(arrival, 5),
        _ => queue(arrival, 20),
    };
    check_follows(law, &[(0, 200.0, 0.1), (20, 50.0, 0.1), (50, 200.0, 0.1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_way_that_becomes_longer_is_no_queue() {
    let law: Law = |arrival| {
        let Reaction::Answers(status, after) = queue(arrival, 20) else {
            unreachable!("a queue answers")
        };
        Reaction::Answers(
            status,
            if arrival.at.as_secs() < 20 {
                after
            } else {
                after * 2
            },
        )
    };
    check_follows(law, &[(0, 200.0, 0.1), (20, 100.0, 0.2)]).await;
}
