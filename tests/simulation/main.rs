//! The whole stack on paused time: our client against a simulated Customer.io with faults.
//!
//! Each seed is one case: a limit and its model, delays, a script of faults, and callers of which
//! some give up. `SEED=7 cargo test --test simulation` repeats one case. The seeds in
//! `regressions.txt` once failed, and always run.

mod calls;
mod case;
mod feedback;
mod once;
mod promises;
mod wire;

#[path = "../support/mod.rs"]
mod support;

use case::{Case, Run};

/// The number of cases, unless `SEEDS` sets another.
const SEEDS: u64 = 200;

fn seeds() -> Vec<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
    };
    if let Some(seed) = number("SEED") {
        return vec![seed];
    }
    let regressions = include_str!("regressions.txt")
        .lines()
        .filter_map(|line| line.parse().ok());
    (0..number("SEEDS").unwrap_or(SEEDS))
        .chain(regressions)
        .collect()
}

/// Runs the case of a seed to its end, on a runtime of its own with paused time.
fn run(seed: u64) -> Run {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(Case::draw(seed).run())
}

#[test]
fn every_seed_keeps_the_promises() {
    let (mut requests, mut faults) = (0, 0);
    for seed in seeds() {
        let run = run(seed);
        promises::safety(&run);
        promises::liveness(&run);
        requests += run.wire.len();
        faults += run.wire.iter().filter(|attempt| attempt.failed()).count();
    }
    // Without requests or without faults the promises would hold trivially.
    assert!(
        faults > 0 && requests > faults,
        "{faults} faults in {requests} requests"
    );
}

#[test]
fn a_seed_repeats_its_run() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed).digest(), run(seed).digest(), "SEED={seed}");
    }
}
