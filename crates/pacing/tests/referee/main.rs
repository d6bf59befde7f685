//! A saturated client against servers that count: who is refused, and how much of the limit is used.

mod servers;
mod world;

use std::time::Duration;

use pacing::Quota;
use proptest::prelude::*;

use servers::Server;
use world::{Weather, World};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn quotas() -> impl Strategy<Value = Quota> {
    (1_u32..200, 10_u64..3_000)
        .prop_map(|(limit, window)| Quota::new(limit, millis(window)).expect("neither is zero"))
}

/// From a loopback to a path that stalls for longer than the window, with callers that give up.
fn weathers() -> impl Strategy<Value = Weather> {
    let stalls = (0.0..0.1, 0_u64..3_000);
    (
        0_u64..50,
        0_u64..200,
        stalls,
        prop::option::weighted(0.3, 20_u64..2_000),
    )
        .prop_map(|(least, jitter, (stall, stalled), patience)| Weather {
            least: millis(least),
            jitter: millis(jitter),
            stall,
            stalled: millis(stalled),
            patience: patience.map(millis),
        })
}

/// What the acknowledged window covers under any delays.
fn covered(quota: &Quota, phase: f64) -> Vec<Server> {
    vec![
        Server::sliding_log(quota),
        Server::fixed_window(quota, phase),
        Server::token_bucket(quota),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_server_that_the_window_covers_refuses_anything(
        quota in quotas(), weather in weathers(), phase in 0.0..1.0, drift in -1.0..1.0, seed: u64,
    ) {
        for server in covered(&quota, phase) {
            let name = server.name();
            let outcome = World::new(quota, weather, server, drift, seed).run(400);
            prop_assert_eq!(outcome.refused, 0, "{} refused", name);
        }
    }

    #[test]
    fn a_sliding_counter_refuses_nothing_while_the_spread_stays_under_the_ceiling(
        quota in quotas(), least in 0_u64..50, jitter in 0_u64..=99, drift in -1.0..1.0, seed: u64,
    ) {
        let weather = Weather { least: millis(least), jitter: millis(jitter), ..Weather::CALM };
        let outcome = World::new(quota, weather, Server::sliding_counter(&quota), drift, seed).run(400);
        prop_assert_eq!(outcome.refused, 0);
    }
}

/// The price of knowing nothing of the server: nine tenths of the limit before anything is learned.
#[test]
fn a_quiet_network_uses_89_percent_of_the_limit() {
    for limit in [100, 1_000, 3_000] {
        let quota = Quota::per_second(limit);
        let weather = Weather {
            least: millis(5),
            jitter: millis(5),
            ..Weather::CALM
        };
        let outcome = World::new(quota, weather, Server::sliding_log(&quota), 0.0, 1)
            .run(limit as usize * 20);
        assert!(
            outcome.rate >= 0.89 * f64::from(limit),
            "{limit}: {}",
            outcome.rate
        );
        assert_eq!(outcome.refused, 0);
    }
}

/// A referee that never refuses would prove nothing: the same client with a quota that is too large is refused.
#[test]
fn every_server_refuses_a_client_that_was_told_too_much() {
    let (told, real) = (Quota::per_second(130), Quota::per_second(100));
    let mut servers = covered(&real, 0.5);
    servers.push(Server::sliding_counter(&real));
    for server in servers {
        let name = server.name();
        let outcome = World::new(told, Weather::CALM, server, 0.0, 1).run(2_000);
        assert!(outcome.refused > 0, "{name} refuses nothing");
    }
}
