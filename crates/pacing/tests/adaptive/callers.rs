//! Callers that send many requests at once, time out, or share a server.

use pacing::{Adaptive, AdaptiveLimit};

use crate::scenario::{Extent, MOST, Scenario, simulation};
use crate::server::{Behavior, Load, Spread};
use crate::simulation::{CallerTimeout, Fixed, Limit, Simulation};

/// Single calls never reach the limit, so it has learned nothing when many requests are sent at
/// once.
#[test]
fn many_requests_after_single_calls_are_served_soon() {
    fn check(spread: Spread, most_seconds: f64) {
        for seed in 0..Extent::from_env().seeds {
            let mut simulation = simulation(Behavior::new(Load::Ample, spread), seed);
            (simulation.clients[0].callers, simulation.clients[0].left) = (1, 300);
            simulation.finish();
            assert_eq!(
                simulation.clients[0].limit.limit(),
                10,
                "the limit was never reached"
            );
            let from = simulation.seconds();
            (simulation.clients[0].callers, simulation.clients[0].left) = (MOST, 200);
            simulation.finish();
            let seconds = simulation.seconds() - from;
            println!("200 at once, {spread:?}: {seconds:.2} s");
            assert!(seconds <= most_seconds, "{spread:?}: {seconds}");
        }
    }
    check(Spread::Constant, 0.7);
    check(Spread::Exponential, 2.0);
    check(Spread::Sigma(1.0), 2.5);
}

/// Returns the seconds that 500 requests at once take, and their mean latency.
fn send_500(limit: impl Limit) -> (f64, f64) {
    let mut simulation = Simulation::new(Behavior::new(Load::Ample, Spread::Constant), 0);
    simulation.join(limit);
    simulation.clients[0].left = 500;
    simulation.finish();
    let seconds = simulation.seconds();
    (
        seconds,
        simulation.clients[0].record.between(0.0, 10.0).latency,
    )
}

#[test]
fn many_requests_take_little_longer_than_with_a_fixed_limit_at_the_upper_bound() {
    let ours = send_500(AdaptiveLimit::new(Adaptive::between(1, 32)));
    let fixed = send_500(Fixed(32));
    println!("500 at once, up to 32: {ours:?} beside {fixed:?}");
    assert!(
        fixed.0 >= 0.9 * ours.0 && ours.1 <= 1.02 * fixed.1,
        "{ours:?} {fixed:?}"
    );
}

#[test]
fn callers_that_time_out_do_not_disturb_the_limit() {
    let timeout = [
        CallerTimeout::Share(0.1),
        CallerTimeout::Share(0.3),
        CallerTimeout::Seconds(0.3),
    ];
    for timeout in timeout {
        let scenario = Scenario::of(Behavior::new(Load::Queue(20), Spread::Sigma(0.6)));
        let scenario = scenario.timeout(timeout).throughput(0.9);
        scenario.latency(1.35).settled(250.0).check();
    }
}

/// The second client joins when the first one has settled.
#[test]
fn two_clients_share_a_server_fairly() {
    fn check(spread: Spread, most_latency: f64, least_jain: f64) {
        for seed in 0..Extent::from_env().seeds {
            let mut simulation = simulation(Behavior::new(Load::Queue(20), spread), seed);
            // If latency is constant, the start of the second client is all that a seed changes.
            simulation.run(30.0 + seed as f64 / 7.0);
            simulation.join(AdaptiveLimit::new(Adaptive::between(1, MOST)));
            simulation.run(270.0);
            let clients = simulation.clients.iter();
            let sums: Vec<_> = clients
                .map(|client| client.record.between(60.0, 300.0))
                .collect();
            let rates = [sums[0].throughput, sums[1].throughput];
            let together: f64 = rates.iter().sum();
            let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
            let in_flight: f64 = sums.iter().map(|sum| sum.in_flight).sum();
            // The latency is by Little's law. Jain's index is 1 if all clients have the same rate.
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
    // If latency does not vary, two clients may fall into step. Each then takes the queue of the
    // other for a longer path.
    check(Spread::Constant, 0.3, 0.95);
    check(Spread::Exponential, 0.15, 0.8);
}
