//! Servers and paths that change.

use crate::scenario::{MOST, Scenario, simulation};
use crate::server::{Behavior, Fault, Load, Spread};

const SIX: Spread = Spread::Sigma(0.6);
const TEN: Spread = Spread::Sigma(1.0);

fn queue(servers: usize, spread: Spread) -> Behavior {
    Behavior::new(Load::Queue(servers), spread)
}

#[test]
fn capacity_that_changes_is_followed() {
    fn check(spread: Spread, throughput: f64, latency: f64, settled: f64) {
        let behaviors = [20, 5, 20, 80].map(|servers| queue(servers, spread));
        let scenario = Scenario::changing(&behaviors).throughput(throughput);
        scenario.latency(latency).settled(settled).check();
    }
    check(Spread::Constant, 0.93, 1.35, 60.0);
    check(SIX, 0.8, 1.4, 300.0);
    check(TEN, 0.8, 1.4, 300.0);
}

#[test]
fn latency_that_changes_by_itself_does_not_lower_the_limit() {
    fn check(spread: Spread, throughput: f64, settled: f64) {
        let ample = Behavior::new(Load::Ample, spread);
        let behaviors = [1.0, 3.0, 10.0, 1.0].map(|scale| ample.scale(scale));
        let scenario = Scenario::changing(&behaviors).throughput(throughput);
        scenario.latency(1.05).settled(settled).check();
    }
    check(Spread::Constant, 0.93, 60.0);
    check(Spread::Sigma(0.3), 0.93, 60.0);
    check(TEN, 0.7, 200.0);
}

/// Most requests are late, and count for less than their latency.
#[test]
fn latency_that_grows_a_thousandfold_does_not_lower_the_limit() {
    for spread in [Spread::Constant, SIX] {
        let ample = Behavior::new(Load::Ample, spread);
        let mut simulation = simulation(ample.scale(0.001), 0);
        simulation.run(0.05);
        simulation.behavior = ample;
        simulation.run(60.0);
        let sum = simulation.clients[0].record.between(30.0, 60.0);
        println!("latency x 1000, {spread:?}: {:.0}/s", sum.throughput);
        assert!(sum.throughput >= 0.9 * 2_000.0, "{spread:?}: {sum:?}");
    }
}

#[test]
fn a_longer_path_does_not_lower_the_limit() {
    let behavior = queue(20, SIX);
    let scenario = Scenario::changing(&[behavior, behavior.path(0.2), behavior]);
    let scenario = scenario.throughput(0.85).latency(1.3);
    scenario.settled(300.0).check();
}

#[test]
fn after_failures_the_limit_recovers() {
    let ample = Behavior::new(Load::Ample, Spread::Constant);
    for behavior in [ample, queue(20, Spread::Constant), queue(20, SIX)] {
        let failing = behavior.fault(Fault::AllFailed);
        let scenario = Scenario::changing(&[behavior, failing, behavior]).throughput(0.9);
        let mut scenario = scenario.latency(1.3).settled(250.0);
        scenario.levels[1].seconds = 20.0;
        scenario.check_last();
    }
}

#[test]
fn an_idle_client_keeps_its_limit() {
    let mut simulation = simulation(queue(20, SIX), 0);
    simulation.run(60.0);
    simulation.clients[0].left = 0;
    simulation.finish();
    let limit = simulation.clients[0].limit.limit();
    simulation.run(500.0);
    assert_eq!(simulation.clients[0].limit.limit(), limit);
    simulation.clients[0].left = u64::MAX;
    let from = simulation.seconds();
    simulation.run(60.0);
    let sum = simulation.clients[0]
        .record
        .between(from, simulation.seconds());
    assert!(
        limit < MOST / 4 && sum.throughput >= 180.0 && sum.latency <= 0.13,
        "{limit} {sum:?}"
    );
}
