//! Callers that come at once, give up, or share a server.

use pacing::{Adaptive, AdaptiveLimit};

use crate::scenario::{Extent, MOST, Scenario, world};
use crate::server::{Law, Load, Spread};
use crate::world::{Fixed, Limit, Patience, World};

/// Calls one after the other never reach the limit. It is there when many come at once.
#[test]
fn a_crowd_after_single_calls_is_served_soon() {
    fn check(spread: Spread, most_seconds: f64) {
        for seed in 0..Extent::from_env().seeds {
            let mut world = world(Law::new(Load::Ample, spread), seed);
            (world.clients[0].callers, world.clients[0].left) = (1, 300);
            world.finish();
            assert_eq!(world.clients[0].limit.limit(), 10, "nothing reached it");
            let from = world.seconds();
            (world.clients[0].callers, world.clients[0].left) = (MOST, 200);
            world.finish();
            let seconds = world.seconds() - from;
            println!("200 at once, {spread:?}: {seconds:.2} s");
            assert!(seconds <= most_seconds, "{spread:?}: {seconds}");
        }
    }
    check(Spread::Constant, 0.7);
    check(Spread::Exponential, 2.0);
    check(Spread::Sigma(1.0), 2.5);
}

/// Returns how long 500 requests at once take, in seconds, and their mean latency.
fn crowd(limit: impl Limit) -> (f64, f64) {
    let mut world = World::new(Law::new(Load::Ample, Spread::Constant), 0);
    world.join(limit);
    world.clients[0].left = 500;
    world.finish();
    let seconds = world.seconds();
    (seconds, world.clients[0].record.between(0.0, 10.0).latency)
}

#[test]
fn a_crowd_takes_little_longer_than_with_the_upper_bound_from_the_start() {
    let ours = crowd(AdaptiveLimit::new(Adaptive::between(1, 32)));
    let fixed = crowd(Fixed(32));
    println!("500 at once, up to 32: {ours:?} beside {fixed:?}");
    assert!(
        fixed.0 >= 0.9 * ours.0 && ours.1 <= 1.02 * fixed.1,
        "{ours:?} {fixed:?}"
    );
}

#[test]
fn callers_that_give_up_say_nothing() {
    let patience = [
        Patience::Share(0.1),
        Patience::Share(0.3),
        Patience::Seconds(0.3),
    ];
    for patience in patience {
        let scenario = Scenario::of(Law::new(Load::Queue(20), Spread::Sigma(0.6)));
        let scenario = scenario.patience(patience).throughput(0.9);
        scenario.latency(1.35).settled(250.0).check();
    }
}

/// The first client has its share when the second one comes.
#[test]
fn two_clients_share_a_server_fairly() {
    fn check(spread: Spread, most_latency: f64, least_jain: f64) {
        for seed in 0..Extent::from_env().seeds {
            let mut world = world(Law::new(Load::Queue(20), spread), seed);
            // Where latency is constant, a seed would change nothing else.
            world.run(30.0 + seed as f64 / 7.0);
            world.join(AdaptiveLimit::new(Adaptive::between(1, MOST)));
            world.run(270.0);
            let clients = world.clients.iter();
            let sums: Vec<_> = clients
                .map(|client| client.record.between(60.0, 300.0))
                .collect();
            let rates = [sums[0].throughput, sums[1].throughput];
            let together: f64 = rates.iter().sum();
            let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
            let in_flight: f64 = sums.iter().map(|sum| sum.in_flight).sum();
            // By Little's law; Jain's index is 1 if all have the same.
            let (latency, jain) = (in_flight / together, together * together / 2.0 / squares);
            println!(
                "two clients, {spread:?}: {together:.0}/s of 200/s, {latency:.3} s, Jain {jain:.2}"
            );
            assert!(together >= 0.93 * 200.0, "{together}");
            assert!(
                latency <= most_latency && jain >= least_jain,
                "{latency} {jain}"
            );
        }
    }
    // Without chance two clients may fall into step, and each takes the queue of the other for the
    // path.
    check(Spread::Constant, 0.3, 0.95);
    check(Spread::Exponential, 0.15, 0.8);
}
