//! Servers and paths that change.

use crate::scenario::{MOST, Scenario, world};
use crate::server::{Fault, Law, Load, Spread};

const SIX: Spread = Spread::Sigma(0.6);
const TEN: Spread = Spread::Sigma(1.0);

fn queue(servers: usize, spread: Spread) -> Law {
    Law::new(Load::Queue(servers), spread)
}

#[test]
fn capacity_that_changes_is_followed() {
    fn check(spread: Spread, throughput: f64, latency: f64, settled: f64) {
        let laws = [20, 5, 20, 80].map(|servers| queue(servers, spread));
        let scenario = Scenario::changing(&laws).throughput(throughput);
        scenario.latency(latency).settled(settled).check();
    }
    check(Spread::Constant, 0.93, 1.35, 60.0);
    check(SIX, 0.8, 1.4, 300.0);
    check(TEN, 0.8, 1.4, 300.0);
}

#[test]
fn latency_that_changes_by_itself_is_no_queue() {
    fn check(spread: Spread, throughput: f64, settled: f64) {
        let ample = Law::new(Load::Ample, spread);
        let laws = [1.0, 3.0, 10.0, 1.0].map(|scale| ample.scale(scale));
        let scenario = Scenario::changing(&laws).throughput(throughput);
        scenario.latency(1.05).settled(settled).check();
    }
    check(Spread::Constant, 0.93, 60.0);
    check(Spread::Sigma(0.3), 0.93, 60.0);
    check(TEN, 0.7, 200.0);
}

/// Most requests are late then, and count for less than they took.
#[test]
fn latency_that_becomes_a_thousandfold_is_no_queue() {
    for spread in [Spread::Constant, SIX] {
        let ample = Law::new(Load::Ample, spread);
        let mut world = world(ample.scale(0.001), 0);
        world.run(0.05);
        world.law = ample;
        world.run(60.0);
        let sum = world.clients[0].record.between(30.0, 60.0);
        println!("latency x 1000, {spread:?}: {:.0}/s", sum.throughput);
        assert!(sum.throughput >= 0.9 * 2_000.0, "{spread:?}: {sum:?}");
    }
}

#[test]
fn a_longer_path_is_no_queue() {
    let law = queue(20, SIX);
    let scenario = Scenario::changing(&[law, law.path(0.2), law]);
    let scenario = scenario.throughput(0.85).latency(1.3);
    scenario.settled(300.0).check();
}

#[test]
fn what_a_failing_server_took_it_takes_again() {
    let ample = Law::new(Load::Ample, Spread::Constant);
    for law in [ample, queue(20, Spread::Constant), queue(20, SIX)] {
        let failing = law.fault(Fault::Refused);
        let scenario = Scenario::changing(&[law, failing, law]).throughput(0.9);
        let mut scenario = scenario.latency(1.3).settled(250.0);
        scenario.levels[1].seconds = 20.0;
        scenario.check_last();
    }
}

#[test]
fn a_load_that_stops_leaves_the_limit_as_it_is() {
    let mut world = world(queue(20, SIX), 0);
    world.run(60.0);
    world.clients[0].left = 0;
    world.finish();
    let limit = world.clients[0].limit.limit();
    world.run(500.0);
    assert_eq!(world.clients[0].limit.limit(), limit);
    world.clients[0].left = u64::MAX;
    let from = world.seconds();
    world.run(60.0);
    let sum = world.clients[0].record.between(from, world.seconds());
    assert!(
        limit < MOST / 4 && sum.throughput >= 180.0 && sum.latency <= 0.13,
        "{limit} {sum:?}"
    );
}
