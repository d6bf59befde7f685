//! Servers that do not change.

use crate::scenario::{Scenario, simulation};
use crate::server::{Behavior, Fault, Load, Spread};
use crate::simulation::CallerTimeout;

const SIX: Spread = Spread::Sigma(0.6);
const TEN: Spread = Spread::Sigma(1.0);

fn ample(spread: Spread) -> Scenario {
    Scenario::of(Behavior::new(Load::Ample, spread))
}

fn queue(servers: usize, spread: Spread) -> Scenario {
    Scenario::of(Behavior::new(Load::Queue(servers), spread))
}

fn failing(fault: Fault, spread: Spread) -> Scenario {
    Scenario::of(Behavior::new(Load::Ample, spread).fault(fault))
}

#[test]
fn ample_capacity_is_used() {
    fn check(spread: Spread, throughput: f64, latency: f64, settled: f64) {
        let scenario = ample(spread).throughput(throughput).latency(latency);
        scenario.settled(settled).check();
    }
    check(Spread::Constant, 0.95, 1.02, 40.0);
    check(Spread::Jitter, 0.95, 1.02, 100.0);
    check(Spread::Sigma(0.3), 0.95, 1.02, 40.0);
    check(Spread::Exponential, 0.9, 1.05, 250.0);
    check(SIX, 0.9, 1.05, 250.0);
    check(TEN, 0.9, 1.05, 250.0);
    check(Spread::Slow5, 0.9, 1.05, 250.0);
    check(Spread::Slow1, 0.9, 1.05, 250.0);
    check(Spread::Half0, 0.9, 1.05, 250.0);
}

#[test]
fn failures_by_chance_cost_little() {
    for share in [0.01, 0.05] {
        let scenario = failing(Fault::Random(share), Spread::Constant);
        let scenario = scenario.throughput(0.93).latency(1.05);
        scenario.settled(250.0).check();
    }
}

#[test]
fn a_queue_is_kept_short_and_the_servers_busy() {
    for servers in [5, 20, 100] {
        let constant = queue(servers, Spread::Constant).throughput(0.93);
        constant.latency(1.35).settled(40.0).check();
        for spread in [Spread::Exponential, SIX, TEN] {
            let varying = queue(servers, spread).throughput(0.85);
            varying.latency(1.3).settled(250.0).check();
        }
    }
}

/// The mean of these latencies has a large error, so the limit stays low.
#[test]
fn a_queue_is_kept_short_if_a_few_requests_take_a_hundred_times_as_long() {
    let scenario = queue(20, Spread::Slow5).throughput(0.65).latency(1.3);
    scenario.check();
}

#[test]
fn a_single_server_is_kept_busy() {
    let constant = queue(1, Spread::Constant).throughput(0.9).latency(1.3);
    constant.settled(200.0).check();
    let varying = queue(1, Spread::Exponential).lasting(600.0).learning(100.0);
    let varying = varying.throughput(0.9).latency(1.8);
    varying.settled(1_200.0).check();
}

#[test]
fn a_server_that_shares_its_time_is_kept_busy() {
    for servers in [20, 50] {
        for spread in [SIX, Spread::Exponential] {
            let scenario = Scenario::of(Behavior::new(Load::Shared(servers), spread));
            let scenario = scenario.throughput(0.9).latency(1.3);
            scenario.settled(150.0).check();
        }
    }
}

#[test]
fn a_knee_is_found() {
    for spread in [Spread::Constant, Spread::Sigma(0.3)] {
        let scenario = Scenario::of(Behavior::new(Load::Knee(10, 1.1), spread));
        let scenario = scenario.throughput(0.88).latency(1.3);
        scenario.settled(50.0).check();
    }
}

/// There is no knee: the highest throughput has three times the latency.
#[test]
fn if_every_request_adds_latency_throughput_per_latency_is_near_its_highest() {
    let behavior = Behavior::new(Load::Linear(0.001), Spread::Constant);
    for outcome in Scenario::of(behavior).run() {
        assert!(outcome.power() >= 0.85, "{outcome}");
    }
}

#[test]
fn a_server_that_fails_excess_requests_gets_few_of_them() {
    fn check(spread: Spread, after: f64, throughput: f64, settled: f64) {
        let scenario = failing(Fault::FailedAbove(20, after), spread);
        let scenario = scenario.throughput(throughput).latency(1.1);
        for outcome in scenario.settled(settled).check() {
            assert!(outcome.sum.failures <= 0.06, "{outcome}");
        }
    }
    check(Spread::Constant, 0.005, 0.9, 50.0);
    check(Spread::Constant, 0.1, 0.9, 50.0);
    check(SIX, 0.005, 0.8, 150.0);
}

#[test]
fn throttled_responses_do_not_lower_the_limit() {
    let fault = Fault::Throttled(100);
    let scenario = failing(fault, Spread::Constant).throughput(0.98);
    scenario.latency(1.05).check();
    let behavior = Behavior::new(Load::Ample, Spread::Constant).fault(fault);
    let mut simulation = simulation(behavior, 0);
    for _ in 0..300 {
        simulation.run(0.1);
        assert!(simulation.clients[0].limit.limit() >= 10);
    }
}

#[test]
fn a_server_that_drops_excess_requests_is_kept_busy() {
    let scenario = failing(Fault::DroppedAbove(5), Spread::Constant);
    let scenario = scenario.timeout(CallerTimeout::Seconds(1.0));
    for outcome in scenario.throughput(0.9).latency(1.05).check() {
        assert!(outcome.sum.in_flight <= 40.0, "{outcome}");
    }
}
