//! The whole stack on virtual time: our client against a simulated Customer.io that misbehaves by seed.
//!
//! Each seed is a world of its own: a limit and how it is counted, a path with weather, a script of faults, and people who
//! send, give up or wait. `SEED=7 cargo test --test simulation` replays one; seeds that once failed stand in
//! `regressions.txt` and always run.

mod feedback;
mod once;
mod plan;
mod referee;
mod wire;
mod world;

#[path = "../support/mod.rs"]
mod support;

use world::{Scene, World};

/// How many worlds are visited, unless `SEEDS` says otherwise.
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

/// Runs one world to its end on a runtime of its own, whose time is virtual.
fn visit(seed: u64) -> World {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(Scene::draw(seed).play())
}

#[test]
fn every_world_keeps_the_promises() {
    let (mut requests, mut faults) = (0, 0);
    for seed in seeds() {
        let world = visit(seed);
        referee::safety(&world);
        referee::liveness(&world);
        requests += world.wire.len();
        faults += world.wire.iter().filter(|attempt| attempt.failed()).count();
    }
    // Worlds in which nothing happens would keep any promise.
    assert!(
        faults > 0 && requests > faults,
        "{faults} faults in {requests} requests"
    );
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [1, 2, 3] {
        assert_eq!(visit(seed).digest(), visit(seed).digest(), "SEED={seed}");
    }
}
