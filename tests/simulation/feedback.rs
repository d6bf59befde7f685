//! The limiter after throttled and failed responses: the former close the gate for all requests,
//! the latter change nothing.

use std::time::Duration;

use customerio::client::{Client, Limits};
use customerio::{Attributes, Credentials, Outcome, Person, Request};
use customerio_sim::{FailurePoint, Faults, Limit, Script, Simulator, Step};
use pacing::Quota;
use tokio::task::JoinSet;

use crate::case::dial;
use crate::support::client;
use crate::wire::{Attempt, Recorder};

const QUOTA: Quota = Quota::per_second(100);
const TICK: Duration = Duration::from_millis(1);

/// Identifies 200 people at once, with the faults of a script. Returns all attempts.
async fn run(script: Script) -> Vec<Attempt> {
    let simulator = Simulator::builder()
        .limit(Limit::per_second(100))
        .faults(Faults::none().latency(Duration::from_millis(20)))
        .script(script)
        .build();
    let recorder = Recorder::new(client(dial(simulator.clone())));
    let client = Client::builder()
        .credentials(Credentials::new("site", "key").unwrap())
        .base_url("http://localhost")
        .limits(Limits::documented().ingress(QUOTA))
        .timeout(Duration::from_millis(500))
        .jitter_seed(1)
        .build_with(recorder.clone())
        .unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let (client, request) = (client.clone(), identify(n));
        tasks.spawn(async move { client.send(request).await });
    }
    for outcomes in tasks.join_all().await {
        assert!(matches!(outcomes[..], [Outcome::Accepted]), "{outcomes:?}");
    }
    assert_eq!(simulator.totals().people, 200);
    recorder.attempts()
}

fn identify(n: usize) -> Request {
    let person = Person::id(&format!("person-{n}")).unwrap();
    customerio::Operation::identify(&person, &Attributes::new())
        .unwrap()
        .into()
}

fn intervals(wire: &[Attempt]) -> Vec<Duration> {
    wire.windows(2)
        .map(|pair| pair[1].sent - pair[0].sent)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_429_with_retry_after_closes_the_gate_and_lowers_the_rate_to_four_fifths() {
    let mut steps = vec![Step::pass(); 50];
    steps.push(Step::status(429).retry_after(2));
    let wire = run(Script::new(steps)).await;

    let throttled: Vec<_> = wire
        .iter()
        .filter(|attempt| attempt.was_throttled())
        .collect();
    assert_eq!(throttled.len(), 1);
    let (closed, opens) = throttled[0].gate().unwrap();
    assert_eq!(opens - closed, Duration::from_secs(2));
    let resumed = wire
        .iter()
        .position(|attempt| attempt.sent > closed)
        .unwrap();
    assert!(wire[resumed].sent >= opens && wire[resumed].sent <= opens + TICK);
    // The throttled request departed 40 ms before its response, which lets four more depart.
    assert!(resumed <= 55, "{resumed}");

    let after = &intervals(&wire)[resumed..resumed + 80];
    let mean = after.iter().sum::<Duration>() / 80;
    let share = QUOTA.spacing().as_secs_f64() / mean.as_secs_f64();
    assert!((0.795..0.805).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_a_reset_and_a_502_neither_close_the_gate_nor_lower_the_rate() {
    let failures = [
        Step::pass().stall(Duration::from_secs(2)),
        Step::reset(FailurePoint::BeforeEffect),
        Step::reset(FailurePoint::AfterEffect),
        Step::gateway(),
        Step::status(500),
        Step::status(503),
    ];
    let passed = vec![Step::pass(); 20];
    let steps = failures
        .into_iter()
        .flat_map(|failure| [vec![failure], passed.clone()].concat());
    let wire = run(Script::new(steps)).await;
    assert!(wire.iter().filter(|attempt| attempt.failed()).count() >= 6);
    // While requests wait, one departs every interval, whatever the responses to the last ones
    // were.
    for interval in &intervals(&wire)[..190] {
        assert!(*interval <= QUOTA.spacing() + TICK, "{interval:?}");
    }
}
