//! What the limiter makes of the simulator's answers: a refusal stops everyone, a failure nobody.

use std::time::Duration;

use customerio::client::{Client, Limits};
use customerio::{Attributes, Credentials, Outcome, Person, Request};
use customerio_sim::{Limit, Script, Simulator, Step, Weather, When};
use pacing::Quota;
use tokio::task::JoinSet;

use crate::support::client;
use crate::wire::{Attempt, Tap};
use crate::world::dial;

const QUOTA: Quota = Quota::per_second(100);
const TICK: Duration = Duration::from_millis(1);

/// Sends 200 people at once through a script; what crossed the wire.
async fn play(script: Script) -> Vec<Attempt> {
    let simulator = Simulator::builder()
        .limit(Limit::per_second(100))
        .weather(Weather::calm().latency(Duration::from_millis(20)))
        .script(script)
        .build();
    let tap = Tap::new(client(dial(simulator.clone())));
    let client = Client::builder()
        .credentials(Credentials::new("site", "key").unwrap())
        .base_url("http://localhost")
        .limits(Limits::documented().ingress(QUOTA))
        .timeout(Duration::from_millis(500))
        .jitter_seed(1)
        .build_with(tap.clone())
        .unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let (client, request) = (client.clone(), identify(n));
        tasks.spawn(async move { client.send(request).await });
    }
    for outcomes in tasks.join_all().await {
        assert!(matches!(outcomes[..], [Outcome::Accepted]), "{outcomes:?}");
    }
    assert_eq!(simulator.books().people, 200);
    tap.log()
}

fn identify(n: usize) -> Request {
    let person = Person::id(&format!("person-{n}")).unwrap();
    customerio::Operation::identify(&person, &Attributes::new())
        .unwrap()
        .into()
}

fn gaps(wire: &[Attempt]) -> Vec<Duration> {
    wire.windows(2)
        .map(|pair| pair[1].sent - pair[0].sent)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_429_with_retry_after_stops_everyone_for_as_long_and_leaves_four_fifths_of_the_rate() {
    let mut steps = vec![Step::pass(); 50];
    steps.push(Step::status(429).retry_after(2));
    let wire = play(Script::new(steps)).await;

    let refused: Vec<_> = wire
        .iter()
        .filter(|attempt| attempt.was_refused())
        .collect();
    assert_eq!(refused.len(), 1);
    let (closed, opens) = refused[0].hold().unwrap();
    assert_eq!(opens - closed, Duration::from_secs(2));
    let resumed = wire
        .iter()
        .position(|attempt| attempt.sent > closed)
        .unwrap();
    assert!(wire[resumed].sent >= opens && wire[resumed].sent <= opens + TICK);
    // Its request left 40 ms before the answer, and four others after it: those in flight.
    assert!(resumed <= 55, "{resumed}");

    let after = &gaps(&wire)[resumed..resumed + 80];
    let mean = after.iter().sum::<Duration>() / 80;
    let share = QUOTA.spacing().as_secs_f64() / mean.as_secs_f64();
    assert!((0.795..0.805).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_a_reset_and_a_502_neither_close_the_gate_nor_lower_the_rate() {
    let failures = [
        Step::pass().stall(Duration::from_secs(2)),
        Step::reset(When::BeforeEffect),
        Step::reset(When::AfterEffect),
        Step::gateway(),
        Step::status(500),
        Step::status(503),
    ];
    let calm = vec![Step::pass(); 20];
    let steps = failures
        .into_iter()
        .flat_map(|failure| [vec![failure], calm.clone()].concat());
    let wire = play(Script::new(steps)).await;
    assert!(wire.iter().filter(|attempt| attempt.failed()).count() >= 6);
    // While there is something to send, one leaves every interval, whatever the last ones met.
    for gap in &gaps(&wire)[..190] {
        assert!(*gap <= QUOTA.spacing() + TICK, "{gap:?}");
    }
}
