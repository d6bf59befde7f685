use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::anyhow;
use customerio::client::Quota;
use customerio::{Attributes, Operation, Person, Request, Settlement};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::api::Asked;
use super::hold::LOOK;
use super::*;
use crate::reader::READ_AHEAD;
use crate::reject::Fault;

/// Answers after a while with what the test says of each request.
#[derive(Clone)]
struct Fake {
    latency: Duration,
    waits: bool,
    answer: Arc<dyn Fn(&Request) -> Outcome + Send + Sync>,
    flight: Arc<Mutex<Flight>>,
    /// Until when nothing may leave.
    asked_until: Arc<Mutex<Option<Instant>>>,
    /// The field that asked for it.
    field: Option<&'static str>,
    /// The person whose record ends in 500, and alone, as a client leaves it that has halved the
    /// batch.
    isolated: Option<&'static str>,
}

#[derive(Default)]
struct Flight {
    now: usize,
    most: usize,
    requests: usize,
    operations: usize,
}

impl Fake {
    fn new(answer: impl Fn(&Request) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            latency: Duration::from_millis(50),
            waits: false,
            answer: Arc::new(answer),
            flight: Arc::default(),
            asked_until: Arc::default(),
            field: Some("Retry-After"),
            isolated: None,
        }
    }

    fn accepting() -> Self {
        Self::new(|_| Outcome::Accepted)
    }

    /// Lets nothing leave, as a limiter does whose next turn is far away.
    fn waiting(self) -> Self {
        Self {
            waits: true,
            ..self
        }
    }

    fn slow(self) -> Self {
        Self {
            latency: Duration::from_secs(3600),
            ..self
        }
    }
}

impl Api for Fake {
    async fn send(&self, request: Request, has_left: Arc<AtomicBool>) -> Vec<Outcome> {
        if self.waits {
            std::future::pending::<()>().await;
        }
        while let Some(asked) = self.asked() {
            sleep(asked.remaining).await;
        }
        has_left.store(true, Ordering::Relaxed);
        {
            let mut flight = self.flight.lock().unwrap();
            flight.now += 1;
            flight.most = flight.most.max(flight.now);
            flight.requests += 1;
            flight.operations += request.len();
        }
        sleep(self.latency).await;
        self.flight.lock().unwrap().now -= 1;
        let mut outcomes = vec![(self.answer)(&request); request.len()];
        if let Some(isolated) = self.isolated {
            let body: serde_json::Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
            let batch = body["batch"].as_array();
            let operations = batch.map_or_else(|| std::slice::from_ref(&body), Vec::as_slice);
            for (outcome, operation) in outcomes.iter_mut().zip(operations) {
                if operation["identifiers"]["id"] == isolated {
                    *outcome = answered(500, "");
                }
            }
        }
        outcomes
    }

    fn asked(&self) -> Option<Asked> {
        let until = self.asked_until.lock().unwrap();
        let remaining = until.map(|until| until.saturating_duration_since(clock::now()));
        let remaining = remaining.filter(|remaining| !remaining.is_zero())?;
        Some(Asked {
            remaining,
            field: self.field.map(Into::into),
        })
    }
}

fn cause(text: &str) -> Cause {
    Cause::new(io::Error::other(text.to_owned()))
}

fn record(line: u64, person: &str) -> Item {
    let person = Person::id(person).unwrap();
    let operation = Operation::identify(&person, &Attributes::new()).unwrap();
    Ok(Ok(Record {
        line,
        timestamp: None,
        operation,
    }))
}

fn people(count: u64) -> impl Iterator<Item = Item> + Send + 'static {
    (1..=count).map(|line| record(line, &format!("p{line}")))
}

/// Yields items as the reader thread does, and counts how many were read.
fn feed(items: impl Iterator<Item = Item> + Send + 'static) -> (Receiver<Item>, Arc<AtomicUsize>) {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    tokio::spawn(async move {
        for item in items {
            counter.fetch_add(1, Ordering::Relaxed);
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    (receiver, read)
}

const PACE: Pace = Pace {
    limit: Quota::per_second(100),
    record_limit: Quota::per_second(1_000),
    concurrency: 4,
    batch_items: 10,
    keeps_going: true,
};

const HOUR: Duration = Duration::from_secs(3600);

/// As an import is made that nobody told to keep going.
const CAUTIOUS: Pace = Pace {
    keeps_going: false,
    ..PACE
};

async fn import(fake: &Fake, items: Receiver<Item>, urgency: &watch::Sender<Urgency>) -> End {
    import_at(&PACE, fake, items, urgency).await
}

async fn import_at(
    pace: &Pace,
    fake: &Fake,
    items: Receiver<Item>,
    urgency: &watch::Sender<Urgency>,
) -> End {
    let interrupt = Interrupt::new(urgency.subscribe());
    let mut console = Console::silent();
    let mut problems = Problems::new("a.csv".into(), None);
    run(
        fake.clone(),
        items,
        pace,
        HOUR,
        interrupt,
        &mut console,
        &mut problems,
    )
    .await
}

/// Runs an import to its end.
async fn check(
    fake: &Fake,
    items: impl Iterator<Item = Item> + Send + 'static,
    expected: Totals,
) -> End {
    let end = import(fake, feed(items).0, &watch::Sender::default()).await;
    assert_eq!(end.totals, expected);
    end
}

fn accepted(count: u64) -> Totals {
    Totals {
        accepted: count,
        ..Totals::default()
    }
}

#[tokio::test(start_paused = true)]
async fn every_record_is_settled_once_in_full_batches() {
    let fake = Fake::accepting();
    let end = check(&fake, people(1234), accepted(1234)).await;
    assert_eq!(end.read, 1234);
    assert!(end.halt.is_none());
    let flight = fake.flight.lock().unwrap();
    assert_eq!((flight.operations, flight.requests), (1234, 124));
}

#[tokio::test(start_paused = true)]
async fn an_empty_input_sends_nothing() {
    let fake = Fake::accepting();
    check(&fake, people(0), accepted(0)).await;
    assert_eq!(fake.flight.lock().unwrap().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn the_places_in_flight_are_used_and_never_exceeded() {
    let fake = Fake::accepting();
    check(&fake, people(1000), accepted(1000)).await;
    assert_eq!(fake.flight.lock().unwrap().most, PACE.concurrency);
}

#[tokio::test(start_paused = true)]
async fn reading_stops_when_the_api_does() {
    let fake = Fake::accepting().slow();
    let (items, read) = feed(people(1_000_000));
    let urgency = watch::Sender::default();
    tokio::select! {
        _ = import(&fake, items, &urgency) => panic!("the api does not answer"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    let (in_flight, packed) = (PACE.concurrency * PACE.batch_items, 4 * PACE.batch_items);
    let read = read.load(Ordering::Relaxed);
    assert!(read >= in_flight + packed, "{read}");
    assert!(read <= in_flight + packed + READ_AHEAD + 2, "{read}");
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_sent_are_rejected_and_the_rest_goes_on() {
    let bad = |line| Ok(Err(Fault::new("is no record").at(line)));
    let items = people(100)
        .chain([bad(101), bad(102)])
        .chain([record(103, "q")]);
    let end = check(
        &Fake::accepting(),
        items,
        Totals {
            rejected: 2,
            ..accepted(101)
        },
    )
    .await;
    assert_eq!(end.read, 103);
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_unknown_operation_of_a_person_is_not_sent() {
    let fake = Fake::new(|request| {
        let body = String::from_utf8(request.body().unwrap().to_vec()).unwrap();
        if body.contains("\"lost\"") {
            Outcome::Unknown(cause("gone"))
        } else {
            Outcome::Accepted
        }
    });
    let lost = (1..=10).map(|line| record(line, "lost"));
    let later = (1111..=1115).map(|line| record(line, "lost"));
    let items = lost.chain(people(1100).skip(10)).chain(later);
    let end = check(
        &fake,
        items,
        Totals {
            unknown: 10,
            not_sent: 5,
            ..accepted(1090)
        },
    )
    .await;
    assert!(end.halt.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_turned_away_for_good_ends_the_run() {
    let fake = Fake::new(|_| answered(307, ""));
    let end = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(matches!(end.halt, Some(Halt::TurnedAway(_))));
    assert_eq!(
        end.totals,
        Totals {
            not_sent: 40,
            ..Totals::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_input_that_fails_ends_the_run_after_what_is_in_flight() {
    let items = people(555)
        .chain([Err(anyhow!("broken"))])
        .chain(people(1000));
    let fake = Fake::accepting();
    let end = import(&fake, feed(items).0, &watch::Sender::default()).await;
    assert!(matches!(end.halt, Some(Halt::Failed(_))));
    assert_eq!(end.read, 555);
    let sent = fake.flight.lock().unwrap().operations;
    assert!(sent >= 400, "{sent}");
    assert_eq!(end.totals.accepted, sent as u64);
    assert_eq!(end.totals.unknown, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_waits_for_what_is_in_flight() {
    let fake = Fake::accepting().slow();
    let urgency = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(1)).await;
        urgency.send_replace(Urgency::Drain);
    };
    let (end, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &urgency), interrupted);
    assert_eq!(end.totals, accepted(40));
    assert!(matches!(end.halt, Some(Halt::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn the_second_interrupt_waits_for_nothing() {
    let fake = Fake::accepting().slow();
    let urgency = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(1)).await;
        urgency.send_replace(Urgency::Drain);
        sleep(Duration::from_secs(1)).await;
        urgency.send_replace(Urgency::Abort);
    };
    let (end, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &urgency), interrupted);
    assert_eq!(
        end.totals,
        Totals {
            unknown: 40,
            ..Totals::default()
        }
    );
    assert!(matches!(end.halt, Some(Halt::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_their_turn_are_turned_back() {
    for last in [Urgency::Drain, Urgency::Abort] {
        let fake = Fake::accepting().waiting();
        let urgency = watch::Sender::default();
        let interrupted = async {
            sleep(Duration::from_secs(1)).await;
            urgency.send_replace(last);
        };
        let (end, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &urgency), interrupted);
        assert_eq!(end.totals.unknown + end.totals.accepted, 0, "{last:?}");
        assert!(matches!(end.halt, Some(Halt::Interrupted)), "{last:?}");
        assert_eq!(fake.flight.lock().unwrap().requests, 0);
    }
}

/// Answers with what `answer` says of the request with this number, counted from 1.
fn fake_by_number(answer: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Fake {
    let number = AtomicUsize::new(0);
    Fake::new(move |_| answer(number.fetch_add(1, Ordering::Relaxed) + 1))
}

/// As a page that is not of the API leaves it.
fn lost() -> Outcome {
    answered(200, "<html>")
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_in_a_row_without_a_word_about_a_record_end_the_run() {
    let fake = fake_by_number(|_| lost());
    let end = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(
        matches!(end.halt, Some(Halt::Fruitless(Some(200)))),
        "{:?}",
        end.halt
    );
    let requests = fake.flight.lock().unwrap().requests;
    assert!(
        (100..100 + PACE.concurrency).contains(&requests),
        "{requests}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_word_about_a_record_now_and_then_keeps_the_run_going() {
    let fake = fake_by_number(|number| match number % 90 {
        0 => Outcome::Accepted,
        _ => lost(),
    });
    let end = import(&fake, feed(people(5000)).0, &watch::Sender::default()).await;
    assert!(end.halt.is_none(), "{:?}", end.halt);
    assert_eq!(end.totals.records(), 5000);
}

fn rejected(status: u16, reason: &str) -> Outcome {
    answered(status, reason)
}

fn answered(status: u16, body: &str) -> Outcome {
    let person = Person::id("a").unwrap();
    let operation = Operation::identify(&person, &Attributes::new()).unwrap();
    let response = http::Response::builder().status(status);
    let response = response.body(body.to_owned().into()).unwrap();
    match Request::from(operation).settle(&response) {
        Settlement::Settled(outcomes) => outcomes.into_iter().next().unwrap(),
        Settlement::Resend(requests) => panic!("{requests:?}"),
    }
}

async fn import_cautiously(fake: &Fake) -> End {
    let items = feed(people(1_000)).0;
    import_at(&CAUTIOUS, fake, items, &watch::Sender::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_hundred_records_that_are_rejected_alike_from_the_first_on_end_the_run() {
    let fake = Fake::new(|_| rejected(400, "no"));
    let end = import_cautiously(&fake).await;
    assert!(
        matches!(end.halt, Some(Halt::Alike(Some(400)))),
        "{:?}",
        end.halt
    );
    assert_eq!(end.totals.rejected, u64::from(MAX_ALIKE));
    let flight = fake.flight.lock().unwrap();
    assert_eq!((flight.requests, flight.most), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_told_to_keep_going_does() {
    let fake = Fake::new(|_| rejected(400, "no"));
    let end = import(&fake, feed(people(1_000)).0, &watch::Sender::default()).await;
    assert!(end.halt.is_none(), "{:?}", end.halt);
    assert_eq!(end.totals.rejected, 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_record_that_ends_otherwise_opens_all_places() {
    for other in [
        || Outcome::Accepted,
        || rejected(400, "another"),
        || rejected(422, "no"),
        lost,
    ] {
        let fake = fake_by_number(move |number| match number {
            9 => other(),
            _ => rejected(400, "no"),
        });
        let end = import_cautiously(&fake).await;
        assert!(end.halt.is_none(), "{:?}", end.halt);
        assert_eq!(fake.flight.lock().unwrap().most, CAUTIOUS.concurrency);
    }
}

/// Answers with `failure` for so long, and then with success.
fn recovering(time: Duration, failure: impl Fn() -> Outcome + Send + Sync + 'static) -> Fake {
    let back = clock::now() + time;
    Fake::new(move |_| match clock::now() < back {
        true => failure(),
        false => Outcome::Accepted,
    })
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_whatever_it_looks_like() {
    type Failure = fn() -> Outcome;
    let rows: [(u64, Failure); 7] = [
        (5, || answered(429, "")),
        (20, || Outcome::NotSent(cause("connection refused"))),
        (20, || Outcome::Unknown(cause("timed out"))),
        (20, || answered(500, "")),
        (20, || answered(503, "")),
        (59, || answered(502, "")),
        (20, || answered(408, "")),
    ];
    for (minutes, failure) in rows {
        for count in [7, 1000] {
            let fake = recovering(Duration::from_secs(60 * minutes), failure);
            let end = check(&fake, people(count), accepted(count)).await;
            assert!(end.halt.is_none(), "{:?}", end.halt);
            let requests = fake.flight.lock().unwrap().requests as u64;
            // One probe each half a minute, and the pauses that grow to it.
            let bound = count / 10 + 2 * minutes + 40;
            assert!(requests <= bound, "{requests} of {count} in {minutes} min");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_loses_nothing() {
    let began = clock::now();
    let fake = Fake::new(move |_| {
        let second = (clock::now() - began).as_secs();
        match second {
            1..600 | 700..2000 => answered(503, ""),
            _ => Outcome::Accepted,
        }
    });
    check(&fake, people(2000), accepted(2000)).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_patience_stops_the_run_and_settles_what_is_held() {
    let fake = Fake::new(|_| Outcome::NotSent(cause("refused")));
    let began = clock::now();
    let end = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(matches!(&end.halt, Some(Halt::Patience(time, Wait::Outage { .. })) if *time == HOUR));
    let waited = clock::now() - began;
    assert!((HOUR..HOUR + 2 * LOOK).contains(&waited), "{waited:?}");
    assert_eq!(end.totals.records(), end.totals.not_sent);
    let fake = Fake::new(|_| answered(503, ""));
    let end = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert_eq!(end.totals.records(), end.totals.unknown);
    assert!(end.totals.unknown >= 40);
}

#[tokio::test(start_paused = true)]
async fn outages_with_work_between_them_have_each_the_whole_patience() {
    let began = clock::now();
    let fake = Fake::new(move |_| match (clock::now() - began).as_secs() / 3000 % 2 {
        0 => answered(503, ""),
        _ => Outcome::Accepted,
    });
    let slow = Fake {
        latency: Duration::from_secs(60),
        ..fake
    };
    let end = check(&slow, people(4_000), accepted(4_000)).await;
    assert!(end.halt.is_none(), "{:?}", end.halt);
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_with_an_answer_even_if_that_is_not_of_the_api() {
    let fake = fake_by_number(|number| match number {
        1 => Outcome::NotSent(cause("connection refused")),
        _ => lost(),
    });
    let slow = Fake {
        latency: Duration::from_secs(60),
        ..fake
    };
    let end = import(&slow, feed(people(2_000)).0, &watch::Sender::default()).await;
    assert!(
        matches!(end.halt, Some(Halt::Fruitless(Some(200)))),
        "{:?}",
        end.halt
    );
    assert_eq!(slow.flight.lock().unwrap().most, PACE.concurrency);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_ends_in_something_else_does_not_stop_the_reading() {
    let fake = fake_by_number(|number| match number {
        1 => answered(503, ""),
        _ => lost(),
    });
    let (sender, items) = mpsc::channel(READ_AHEAD);
    tokio::spawn(async move {
        for (number, item) in people(10_000).enumerate() {
            // The reader is slow when nothing is left to be tried.
            if number == 40 {
                sleep(Duration::from_secs(60)).await;
            }
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    let end = import(&fake, items, &watch::Sender::default()).await;
    assert!(
        matches!(end.halt, Some(Halt::Fruitless(Some(200)))),
        "{:?}",
        end.halt
    );
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_ends_a_wait() {
    let fake = Fake::new(|_| answered(503, ""));
    let urgency = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(600)).await;
        urgency.send_replace(Urgency::Drain);
    };
    let (end, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &urgency), interrupted);
    assert!(matches!(end.halt, Some(Halt::Interrupted)));
    assert_eq!(end.totals.records(), end.totals.unknown);
}

/// Answers `status` by `breaks` to whatever holds one of these people.
fn broken_by(
    guilty: &'static [&'static str],
    status: u16,
    breaks: impl Fn() -> bool + Send + Sync + 'static,
) -> Fake {
    Fake::new(move |request| {
        let body = String::from_utf8(request.body().unwrap().to_vec()).unwrap();
        let mut guilty = guilty.iter();
        let is_guilty = guilty.any(|id| body.contains(&format!("\"id\":\"{id}\"")));
        match is_guilty && breaks() {
            true => answered(status, ""),
            false => Outcome::Accepted,
        }
    })
}

#[tokio::test(start_paused = true)]
async fn records_that_break_the_server_are_found_and_the_rest_is_accepted() {
    let rows: [(u64, &'static [&'static str]); 8] = [
        (40, &["p8"]),
        (40, &["p1"]),
        (40, &["p40"]),
        (10, &["p8"]),
        (1000, &["p555"]),
        (40, &["p1", "p11", "p21", "p31"]),
        (20, &["p1", "p2", "p20"]),
        (10, &["p1", "p6"]),
    ];
    for (count, guilty) in rows {
        check_found(guilty, count, 500).await;
    }
    check_found(&["p555"], 1000, 502).await;
}

async fn check_found(guilty: &'static [&'static str], count: u64, status: u16) {
    let fake = broken_by(guilty, status, || true);
    let found = guilty.len() as u64;
    let expected = Totals {
        unknown: found,
        ..accepted(count - found)
    };
    let end = import_cautiously_of(&fake, count).await;
    assert_eq!(end.totals, expected, "{guilty:?} of {count}");
    assert!(end.halt.is_none(), "{guilty:?} of {count}: {:?}", end.halt);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_breaks_the_server_now_and_then_takes_none_with_it() {
    for percent in [1, 30, 90] {
        for seed in 0..10 {
            let draw = Mutex::new(StdRng::seed_from_u64(seed));
            let breaks = move || draw.lock().unwrap().random_range(0..100) < percent;
            let fake = broken_by(&["p8"], 500, breaks);
            let totals = import_cautiously_of(&fake, 40).await.totals;
            assert!(totals.unknown <= 1, "{percent} {seed}: {totals:?}");
            assert_eq!(totals.accepted + totals.unknown, 40);
        }
    }
}

async fn import_cautiously_of(fake: &Fake, count: u64) -> End {
    let items = feed(people(count)).0;
    import_at(&CAUTIOUS, fake, items, &watch::Sender::default()).await
}

/// Accepts, and asks each time that nothing leaves for so long.
fn asking_for(time: Duration) -> Fake {
    let mut fake = Fake::accepting();
    let asked = Arc::clone(&fake.asked_until);
    fake.answer = Arc::new(move |_| {
        *asked.lock().unwrap() = Some(clock::now() + time);
        Outcome::Accepted
    });
    fake
}

#[tokio::test(start_paused = true)]
async fn waits_that_a_server_asks_for_are_bounded_in_sum() {
    for (minutes, is_over) in [(1, false), (19, false), (21, true), (61, true)] {
        let fake = asking_for(Duration::from_secs(60 * minutes));
        let began = clock::now();
        let end = import_cautiously_of(&fake, 100).await;
        assert_eq!(end.halt.is_some(), is_over, "{minutes} min: {:?}", end.halt);
        assert!(clock::now() - began <= HOUR + 2 * LOOK, "{minutes} min");
        if let Some(halt) = end.halt {
            assert!(
                matches!(halt, Halt::Patience(_, Wait::Asked { .. })),
                "{halt:?}"
            );
            assert!(end.totals.accepted >= 10 && end.totals.accepted < 100);
            assert_eq!(end.totals.unknown, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_after_a_429_without_a_time_is_a_wait_for_the_throttling_server() {
    let mut fake = asking_for(Duration::from_secs(60 * 61));
    fake.field = None;
    let end = import_cautiously_of(&fake, 100).await;
    let halt = end.halt.unwrap();
    assert!(
        matches!(halt, Halt::Patience(_, Wait::Throttled { .. })),
        "{halt:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_short_waits_that_a_server_asks_for_are_bounded_in_sum() {
    for seconds in [1, 2, 3] {
        let fake = asking_for(Duration::from_secs(seconds));
        let alone = Pace {
            concurrency: 1,
            ..PACE
        };
        let items = feed(people(50_000)).0;
        let end = import_at(&alone, &fake, items, &watch::Sender::default()).await;
        let most = HOUR.as_secs() / seconds;
        assert!(
            matches!(end.halt, Some(Halt::Patience(_, Wait::Asked { .. }))),
            "{seconds} s: {:?}",
            end.halt
        );
        let requests = fake.flight.lock().unwrap().requests as u64;
        assert!(requests <= most + 1, "{seconds} s: {requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_record_that_breaks_the_server_is_not_waited_for() {
    for count in [5, 40] {
        let fake = Fake {
            isolated: Some("p5"),
            ..Fake::accepting()
        };
        let end = import(&fake, feed(people(count)).0, &watch::Sender::default()).await;
        let expected = Totals {
            unknown: 1,
            ..accepted(count - 1)
        };
        assert_eq!(end.totals, expected, "{count}");
        assert!(end.halt.is_none(), "{count}: {:?}", end.halt);
    }
}
