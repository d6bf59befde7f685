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

use super::*;
use crate::input::Original;
use crate::journal::Progress;
use crate::mapping::Record;
use crate::ranges::Ranges;
use crate::reader::READ_AHEAD;
use crate::reject::{RecordError, Reject};
use crate::send::MAX_SAME_REJECTIONS;
use crate::settlements::Files;

/// An API that answers each request with `answer`, after `latency`.
#[derive(Clone)]
struct Fake {
    latency: Duration,
    never_departs: bool,
    answer: Arc<dyn Fn(&Request) -> Outcome + Send + Sync>,
    counts: Arc<Mutex<Counts>>,
    /// The end of the wait during which no request departs.
    wait_until: Arc<Mutex<Option<Instant>>>,
    /// The header field of that wait.
    field: Option<&'static str>,
    /// The person whose record alone ends in 500, as after the client has halved the batch.
    isolated: Option<&'static str>,
}

#[derive(Default)]
struct Counts {
    in_flight: usize,
    most_in_flight: usize,
    requests: usize,
    operations: usize,
}

impl Fake {
    fn new(answer: impl Fn(&Request) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            latency: Duration::from_millis(50),
            never_departs: false,
            answer: Arc::new(answer),
            counts: Arc::default(),
            wait_until: Arc::default(),
            field: Some("Retry-After"),
            isolated: None,
        }
    }

    fn accepting() -> Self {
        Self::new(|_| Outcome::Accepted)
    }

    /// Keeps every request queued, as a limiter with a late next departure does.
    fn queueing(self) -> Self {
        Self {
            never_departs: true,
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
    async fn send(&self, request: Request, departed: Arc<AtomicBool>) -> Vec<Outcome> {
        if self.never_departs {
            std::future::pending::<()>().await;
        }
        while let Some(wait) = self.current_wait() {
            sleep(wait.remaining).await;
        }
        departed.store(true, Ordering::Relaxed);
        {
            let mut counts = self.counts.lock().unwrap();
            counts.in_flight += 1;
            counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
            counts.requests += 1;
            counts.operations += request.len();
        }
        sleep(self.latency).await;
        self.counts.lock().unwrap().in_flight -= 1;
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

    fn current_wait(&self) -> Option<CurrentWait> {
        let until = self.wait_until.lock().unwrap();
        let remaining = until.map(|until| until.saturating_duration_since(clock::now()));
        let remaining = remaining.filter(|remaining| !remaining.is_zero())?;
        Some(CurrentWait {
            remaining,
            field: self.field.map(Into::into),
        })
    }
}

fn cause(text: &str) -> Cause {
    Cause::new(io::Error::other(text.to_owned()))
}

fn record(line: u64, person: &str) -> Result<Item> {
    let person = Person::id(person).unwrap();
    let operation = Operation::identify(&person, &Attributes::new()).unwrap();
    let record = Record {
        line,
        timestamp: None,
        operation,
    };
    Ok(item(line, Ok(record)))
}

fn item(number: u64, record: Result<Record, Reject>) -> Item {
    Item {
        number,
        original: None,
        room: None,
        record,
    }
}

fn people(count: u64) -> impl Iterator<Item = Result<Item>> + Send + 'static {
    (1..=count).map(|line| record(line, &format!("p{line}")))
}

/// Sends items as the reader thread does, and counts them.
fn feed(
    items: impl Iterator<Item = Result<Item>> + Send + 'static,
) -> (Receiver<Result<Item>>, Arc<AtomicUsize>) {
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

const OPTIONS: SendOptions = SendOptions {
    limit: Quota::per_second(100),
    record_limit: Quota::per_second(1_000),
    concurrency: 4,
    batch_items: 10,
    keep_going: true,
    max_wait: HOUR,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The options without `--keep-going`.
const CHECKING: SendOptions = SendOptions {
    keep_going: false,
    ..OPTIONS
};

async fn import(
    fake: &Fake,
    items: Receiver<Result<Item>>,
    shutdown: &watch::Sender<Shutdown>,
) -> RunResult {
    import_with(&OPTIONS, fake, items, shutdown).await
}

async fn import_with(
    options: &SendOptions,
    fake: &Fake,
    items: Receiver<Result<Item>>,
    shutdown: &watch::Sender<Shutdown>,
) -> RunResult {
    let (result, _) = import_settling(options, fake, items, shutdown).await;
    result
}

/// Runs an import. Returns the numbers of the settled records too.
async fn import_settling(
    options: &SendOptions,
    fake: &Fake,
    items: Receiver<Result<Item>>,
    shutdown: &watch::Sender<Shutdown>,
) -> (RunResult, Ranges) {
    let interrupt = Interrupt::new(shutdown.subscribe());
    let mut console = Console::without_bar(clock::now());
    let mut problems = Problems::new("a.csv".into(), false);
    let progress = Progress::default();
    let mut settlements = Settlements::new(Files::default(), None, progress, clock::now());
    let result = run(
        fake.clone(),
        items,
        Totals::default(),
        options,
        interrupt,
        Reports {
            console: &mut console,
            problems: &mut problems,
            settlements: &mut settlements,
        },
    )
    .await;
    (result, settlements.finish(true).await.settled)
}

/// Runs an import to its end.
async fn check(
    fake: &Fake,
    items: impl Iterator<Item = Result<Item>> + Send + 'static,
    expected: Totals,
) -> RunResult {
    let result = import(fake, feed(items).0, &watch::Sender::default()).await;
    assert_eq!(result.totals, expected);
    result
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
    let result = check(&fake, people(1234), accepted(1234)).await;
    assert_eq!(result.read, 1234);
    assert!(result.stop.is_none());
    let counts = fake.counts.lock().unwrap();
    assert_eq!((counts.operations, counts.requests), (1234, 124));
}

#[tokio::test(start_paused = true)]
async fn an_empty_input_sends_nothing() {
    let fake = Fake::accepting();
    check(&fake, people(0), accepted(0)).await;
    assert_eq!(fake.counts.lock().unwrap().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn the_concurrency_is_used_and_never_exceeded() {
    let fake = Fake::accepting();
    check(&fake, people(1000), accepted(1000)).await;
    assert_eq!(
        fake.counts.lock().unwrap().most_in_flight,
        OPTIONS.concurrency
    );
}

#[tokio::test(start_paused = true)]
async fn reading_stops_when_the_api_does() {
    let fake = Fake::accepting().slow();
    let (items, read) = feed(people(1_000_000));
    let shutdown = watch::Sender::default();
    tokio::select! {
        _ = import(&fake, items, &shutdown) => panic!("the api does not answer"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    let (in_flight, packed) = (
        OPTIONS.concurrency * OPTIONS.batch_items,
        4 * OPTIONS.batch_items,
    );
    let read = read.load(Ordering::Relaxed);
    assert!(read >= in_flight + packed, "{read}");
    assert!(read <= in_flight + packed + READ_AHEAD + 2, "{read}");
}

#[tokio::test(start_paused = true)]
async fn reading_stops_when_originals_fill_the_memory_and_goes_on_once_they_are_settled() {
    let wide = |item: Result<Item>| {
        let original = Some(Original::Text(vec![b'x'; 1 << 20].into()));
        item.map(|item| Item { original, ..item })
    };
    let fake = Fake::accepting().slow();
    let (items, read) = feed(people(100).map(wide));
    let shutdown = watch::Sender::default();
    tokio::select! {
        _ = import(&fake, items, &shutdown) => panic!("the api does not answer"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    assert_eq!(fake.counts.lock().unwrap().operations, 32);
    // The test has no bound of what is read ahead.
    assert_eq!(read.load(Ordering::Relaxed), 100);
    check(&Fake::accepting(), people(100).map(wide), accepted(100)).await;
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_sent_are_rejected_and_the_rest_goes_on() {
    let bad = |line| Ok(item(line, Err(RecordError::new("is no record").at(line))));
    let items = people(100)
        .chain([bad(101), bad(102)])
        .chain([record(103, "q")]);
    let result = check(
        &Fake::accepting(),
        items,
        Totals {
            rejected: 2,
            ..accepted(101)
        },
    )
    .await;
    assert_eq!(result.read, 103);
}

#[tokio::test(start_paused = true)]
async fn operations_after_an_unknown_one_of_the_same_person_are_not_sent() {
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
    let result = check(
        &fake,
        items,
        Totals {
            unknown: 10,
            not_sent: 5,
            ..accepted(1090)
        },
    )
    .await;
    assert!(result.stop.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_stops_the_run() {
    let fake = Fake::new(|_| answered(307, ""));
    let result = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(matches!(result.stop, Some(Stop::Permanent(_))));
    assert_eq!(
        result.totals,
        Totals {
            not_sent: 40,
            ..Totals::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_task_panics_stops_the_run_and_its_records_are_unknown() {
    let fake = Fake::new(|request| {
        let body = String::from_utf8(request.body().unwrap().to_vec()).unwrap();
        assert!(!body.contains("\"p15\""), "a defect");
        Outcome::Accepted
    });
    let (items, _) = feed(people(100));
    let result = import(&fake, items, &watch::Sender::default()).await;
    assert!(matches!(result.stop, Some(Stop::Failed(_))));
    let totals = result.totals;
    assert_eq!(totals.unknown, 10, "{totals:?}");
    assert!(totals.accepted > 0 && totals.accepted < 90, "{totals:?}");
}

#[tokio::test(start_paused = true)]
async fn an_input_error_stops_the_run_after_the_requests_in_flight() {
    let items = people(555)
        .chain([Err(anyhow!("broken"))])
        .chain(people(1000));
    let fake = Fake::accepting();
    let result = import(&fake, feed(items).0, &watch::Sender::default()).await;
    assert!(matches!(result.stop, Some(Stop::Failed(_))));
    assert_eq!(result.read, 555);
    let sent = fake.counts.lock().unwrap().operations;
    assert!(sent >= 400, "{sent}");
    assert_eq!(result.totals.accepted, sent as u64);
    assert_eq!(result.totals.unknown, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_waits_for_the_requests_in_flight() {
    let fake = Fake::accepting().slow();
    let shutdown = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(1)).await;
        shutdown.send_replace(Shutdown::Drain);
    };
    let (result, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &shutdown), interrupted);
    assert_eq!(result.totals, accepted(40));
    assert!(matches!(result.stop, Some(Stop::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_stops_at_once() {
    let fake = Fake::accepting().slow();
    let shutdown = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(1)).await;
        shutdown.send_replace(Shutdown::Drain);
        sleep(Duration::from_secs(1)).await;
        shutdown.send_replace(Shutdown::Abort);
    };
    let (result, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &shutdown), interrupted);
    assert_eq!(
        result.totals,
        Totals {
            unknown: 40,
            ..Totals::default()
        }
    );
    assert!(matches!(result.stop, Some(Stop::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn a_signal_cancels_queued_requests() {
    for last in [Shutdown::Drain, Shutdown::Abort] {
        let fake = Fake::accepting().queueing();
        let shutdown = watch::Sender::default();
        let interrupted = async {
            sleep(Duration::from_secs(1)).await;
            shutdown.send_replace(last);
        };
        let (result, ()) =
            tokio::join!(import(&fake, feed(people(1000)).0, &shutdown), interrupted);
        assert_eq!(
            result.totals.unknown + result.totals.accepted,
            0,
            "{last:?}"
        );
        assert!(matches!(result.stop, Some(Stop::Interrupted)), "{last:?}");
        assert_eq!(fake.counts.lock().unwrap().requests, 0);
    }
}

/// Answers by the number of the request, counted from 1.
fn fake_by_number(answer: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Fake {
    let number = AtomicUsize::new(0);
    Fake::new(move |_| answer(number.fetch_add(1, Ordering::Relaxed) + 1))
}

/// The outcome after a page that is not from the API.
fn foreign_page() -> Outcome {
    answered(200, "<html>")
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_in_a_row_without_an_answer_about_a_record_stop_the_run() {
    let fake = fake_by_number(|_| foreign_page());
    let result = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(
        matches!(result.stop, Some(Stop::WithoutAnswer(Some(200)))),
        "{:?}",
        result.stop
    );
    let requests = fake.counts.lock().unwrap().requests;
    assert!(
        (100..100 + OPTIONS.concurrency).contains(&requests),
        "{requests}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_occasional_answer_about_a_record_keeps_the_run_going() {
    let fake = fake_by_number(|number| match number % 90 {
        0 => Outcome::Accepted,
        _ => foreign_page(),
    });
    let result = import(&fake, feed(people(5000)).0, &watch::Sender::default()).await;
    assert!(result.stop.is_none(), "{:?}", result.stop);
    assert_eq!(result.totals.records(), 5000);
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

#[tokio::test(start_paused = true)]
async fn a_hundred_first_records_rejected_for_the_same_reason_stop_the_run() {
    let fake = Fake::new(|_| rejected(400, "no"));
    let result = import_checking(&fake, 1_000).await;
    assert!(
        matches!(result.stop, Some(Stop::SameRejection(Some(400)))),
        "{:?}",
        result.stop
    );
    assert_eq!(result.totals.rejected, u64::from(MAX_SAME_REJECTIONS));
    let counts = fake.counts.lock().unwrap();
    assert_eq!((counts.requests, counts.most_in_flight), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_with_keep_going_does_not_stop_at_the_same_rejections() {
    let fake = Fake::new(|_| rejected(400, "no"));
    let result = import(&fake, feed(people(1_000)).0, &watch::Sender::default()).await;
    assert!(result.stop.is_none(), "{:?}", result.stop);
    assert_eq!(result.totals.rejected, 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_different_outcome_allows_the_whole_concurrency() {
    for other in [
        || Outcome::Accepted,
        || rejected(400, "another"),
        || rejected(422, "no"),
        foreign_page,
    ] {
        let fake = fake_by_number(move |number| match number {
            9 => other(),
            _ => rejected(400, "no"),
        });
        let result = import_checking(&fake, 1_000).await;
        assert!(result.stop.is_none(), "{:?}", result.stop);
        assert_eq!(
            fake.counts.lock().unwrap().most_in_flight,
            CHECKING.concurrency
        );
    }
}

/// Answers with `failure` for this time, then with success.
fn recovering(time: Duration, failure: impl Fn() -> Outcome + Send + Sync + 'static) -> Fake {
    let back = clock::now() + time;
    Fake::new(move |_| match clock::now() < back {
        true => failure(),
        false => Outcome::Accepted,
    })
}

#[tokio::test(start_paused = true)]
async fn the_run_waits_until_any_kind_of_outage_ends() {
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
            let result = check(&fake, people(count), accepted(count)).await;
            assert!(result.stop.is_none(), "{:?}", result.stop);
            let requests = fake.counts.lock().unwrap().requests as u64;
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
async fn max_wait_stops_the_run_and_settles_the_held_records() {
    let fake = Fake::new(|_| Outcome::NotSent(cause("refused")));
    let began = clock::now();
    let result = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert!(
        matches!(&result.stop, Some(Stop::WaitedTooLong(time, Wait::Outage { .. }))
            if *time == HOUR)
    );
    let waited = clock::now() - began;
    assert!(
        (HOUR..HOUR + 2 * CHECK_INTERVAL).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(result.totals.records(), result.totals.not_sent);
    let fake = Fake::new(|_| answered(503, ""));
    let result = import(&fake, feed(people(10_000)).0, &watch::Sender::default()).await;
    assert_eq!(result.totals.records(), result.totals.unknown);
    assert!(result.totals.unknown >= 40);
}

#[tokio::test(start_paused = true)]
async fn each_outage_has_the_whole_max_wait_if_there_is_work_between_them() {
    let began = clock::now();
    let fake = Fake::new(move |_| match (clock::now() - began).as_secs() / 3000 % 2 {
        0 => answered(503, ""),
        _ => Outcome::Accepted,
    });
    let slow = Fake {
        latency: Duration::from_secs(60),
        ..fake
    };
    let result = check(&slow, people(4_000), accepted(4_000)).await;
    assert!(result.stop.is_none(), "{:?}", result.stop);
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_an_outage_even_if_it_is_not_from_the_api() {
    let fake = fake_by_number(|number| match number {
        1 => Outcome::NotSent(cause("connection refused")),
        _ => foreign_page(),
    });
    let slow = Fake {
        latency: Duration::from_secs(60),
        ..fake
    };
    let result = import(&slow, feed(people(2_000)).0, &watch::Sender::default()).await;
    assert!(
        matches!(result.stop, Some(Stop::WithoutAnswer(Some(200)))),
        "{:?}",
        result.stop
    );
    assert_eq!(
        slow.counts.lock().unwrap().most_in_flight,
        OPTIONS.concurrency
    );
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_after_an_outage_that_ends_with_a_foreign_page() {
    let fake = fake_by_number(|number| match number {
        1 => answered(503, ""),
        _ => foreign_page(),
    });
    let (sender, items) = mpsc::channel(READ_AHEAD);
    tokio::spawn(async move {
        for (number, item) in people(10_000).enumerate() {
            // The reader is slow while nothing is left to send.
            if number == 40 {
                sleep(Duration::from_secs(60)).await;
            }
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    let result = import(&fake, items, &watch::Sender::default()).await;
    assert!(
        matches!(result.stop, Some(Stop::WithoutAnswer(Some(200)))),
        "{:?}",
        result.stop
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_a_wait() {
    let fake = Fake::new(|_| answered(503, ""));
    let shutdown = watch::Sender::default();
    let interrupted = async {
        sleep(Duration::from_secs(600)).await;
        shutdown.send_replace(Shutdown::Drain);
    };
    let (result, ()) = tokio::join!(import(&fake, feed(people(1000)).0, &shutdown), interrupted);
    assert!(matches!(result.stop, Some(Stop::Interrupted)));
    assert_eq!(result.totals.records(), result.totals.unknown);
}

/// Answers with `status`, if `fails` says so, to each request with one of these people.
fn failing_for(
    failing: &'static [&'static str],
    status: u16,
    fails: impl Fn() -> bool + Send + Sync + 'static,
) -> Fake {
    Fake::new(move |request| {
        let body = String::from_utf8(request.body().unwrap().to_vec()).unwrap();
        let mut failing = failing.iter();
        let is_failing = failing.any(|id| body.contains(&format!("\"id\":\"{id}\"")));
        match is_failing && fails() {
            true => answered(status, ""),
            false => Outcome::Accepted,
        }
    })
}

#[tokio::test(start_paused = true)]
async fn records_that_make_the_server_fail_are_isolated_and_the_rest_is_accepted() {
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
    for (count, failing) in rows {
        check_found(failing, count, 500).await;
    }
    check_found(&["p555"], 1000, 502).await;
}

async fn check_found(failing: &'static [&'static str], count: u64, status: u16) {
    let fake = failing_for(failing, status, || true);
    let found = failing.len() as u64;
    let expected = Totals {
        unknown: found,
        ..accepted(count - found)
    };
    let result = import_checking(&fake, count).await;
    assert_eq!(result.totals, expected, "{failing:?} of {count}");
    assert!(
        result.stop.is_none(),
        "{failing:?} of {count}: {:?}",
        result.stop
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_sometimes_makes_the_server_fail_costs_no_other_record() {
    for percent in [1, 30, 90] {
        for seed in 0..10 {
            let draw = Mutex::new(StdRng::seed_from_u64(seed));
            let fails = move || draw.lock().unwrap().random_range(0..100) < percent;
            let fake = failing_for(&["p8"], 500, fails);
            let totals = import_checking(&fake, 40).await.totals;
            assert!(totals.unknown <= 1, "{percent} {seed}: {totals:?}");
            assert_eq!(totals.accepted + totals.unknown, 40);
        }
    }
}

async fn import_checking(fake: &Fake, count: u64) -> RunResult {
    let items = feed(people(count)).0;
    import_with(&CHECKING, fake, items, &watch::Sender::default()).await
}

/// Accepts each request, and asks for a wait of this time.
fn asking_for(time: Duration) -> Fake {
    let mut fake = Fake::accepting();
    let wait_until = Arc::clone(&fake.wait_until);
    fake.answer = Arc::new(move |_| {
        *wait_until.lock().unwrap() = Some(clock::now() + time);
        Outcome::Accepted
    });
    fake
}

#[tokio::test(start_paused = true)]
async fn requested_waits_are_bounded_in_total() {
    for (minutes, is_over) in [(1, false), (19, false), (21, true), (61, true)] {
        let fake = asking_for(Duration::from_secs(60 * minutes));
        let began = clock::now();
        let result = import_checking(&fake, 100).await;
        assert_eq!(
            result.stop.is_some(),
            is_over,
            "{minutes} min: {:?}",
            result.stop
        );
        assert!(
            clock::now() - began <= HOUR + 2 * CHECK_INTERVAL,
            "{minutes} min"
        );
        if let Some(stop) = result.stop {
            assert!(
                matches!(stop, Stop::WaitedTooLong(_, Wait::Requested { .. })),
                "{stop:?}"
            );
            assert!(result.totals.accepted >= 10 && result.totals.accepted < 100);
            assert_eq!(result.totals.unknown, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_after_a_429_without_a_time_is_shown_as_throttling() {
    let mut fake = asking_for(Duration::from_secs(60 * 61));
    fake.field = None;
    let result = import_checking(&fake, 100).await;
    let stop = result.stop.unwrap();
    assert!(
        matches!(stop, Stop::WaitedTooLong(_, Wait::Throttled { .. })),
        "{stop:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_short_requested_waits_are_bounded_in_total() {
    for seconds in [1, 2, 3] {
        let fake = asking_for(Duration::from_secs(seconds));
        let alone = SendOptions {
            concurrency: 1,
            ..OPTIONS
        };
        let items = feed(people(50_000)).0;
        let result = import_with(&alone, &fake, items, &watch::Sender::default()).await;
        let most = HOUR.as_secs() / seconds;
        assert!(
            matches!(
                result.stop,
                Some(Stop::WaitedTooLong(_, Wait::Requested { .. }))
            ),
            "{seconds} s: {:?}",
            result.stop
        );
        let requests = fake.counts.lock().unwrap().requests as u64;
        assert!(requests <= most + 1, "{seconds} s: {requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn the_run_does_not_wait_for_a_last_record_that_makes_the_server_fail() {
    for count in [5, 40] {
        let fake = Fake {
            isolated: Some("p5"),
            ..Fake::accepting()
        };
        let result = import(&fake, feed(people(count)).0, &watch::Sender::default()).await;
        let expected = Totals {
            unknown: 1,
            ..accepted(count - 1)
        };
        assert_eq!(result.totals, expected, "{count}");
        assert!(result.stop.is_none(), "{count}: {:?}", result.stop);
    }
}

/// The two records of one person stay in one request, which cannot be split.
#[tokio::test(start_paused = true)]
async fn the_run_does_not_wait_for_a_last_person_with_a_record_that_makes_the_server_fail() {
    let fake = Fake {
        isolated: Some("p5"),
        ..Fake::accepting()
    };
    let items = people(40).chain([record(42, "p5")]);
    let result = import(&fake, feed(items).0, &watch::Sender::default()).await;
    let expected = Totals {
        unknown: 1,
        not_sent: 1,
        ..accepted(39)
    };
    assert_eq!(result.totals, expected);
    assert!(result.stop.is_none(), "{:?}", result.stop);
}

/// Runs an import for some seconds. Returns the reason why it is not faster.
async fn bound(fake: &Fake, items: impl Iterator<Item = Result<Item>> + Send + 'static) -> Bound {
    let shutdown = watch::Sender::default();
    let mut console = Console::without_bar(clock::now());
    let mut problems = Problems::new("a.csv".into(), false);
    let progress = Progress::default();
    let mut settlements = Settlements::new(Files::default(), None, progress, clock::now());
    let run = run(
        fake.clone(),
        feed(items).0,
        Totals::default(),
        &OPTIONS,
        Interrupt::new(shutdown.subscribe()),
        Reports {
            console: &mut console,
            problems: &mut problems,
            settlements: &mut settlements,
        },
    );
    let ended = tokio::time::timeout(Duration::from_secs(3), run).await;
    assert!(ended.is_err(), "the run is cut off");
    console.progress().bound()
}

#[tokio::test(start_paused = true)]
async fn the_reason_why_a_run_is_not_faster_is_shown() {
    let forever = || people(u64::MAX);
    // A batch of 10 records at 1,000/s takes as long as a request at 100/s.
    let queued = Fake::accepting().queueing();
    assert_eq!(bound(&queued, forever()).await, Bound::RequestLimit);
    let slow = Fake::accepting().slow();
    assert_eq!(bound(&slow, forever()).await, Bound::Answers);
    let one_person = (1..).map(|line| record(line, "p"));
    assert_eq!(bound(&slow, one_person).await, Bound::Order);
    let waiting = Fake::accepting();
    *waiting.wait_until.lock().unwrap() = Some(clock::now() + Duration::from_secs(60));
    assert_eq!(bound(&waiting, forever()).await, Bound::Waiting);
}

/// So the next run, which sends the others in the order of the input, keeps the order of a person.
#[tokio::test(start_paused = true)]
async fn the_settled_records_of_a_person_are_the_first_ones() {
    const PEOPLE: u64 = 12;
    const RECORDS: u64 = 400;
    let mut left = 0;
    for seed in 0..100 {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        let fake = Fake::new(move |_| match random.lock().unwrap().random_range(0..24) {
            0 => Outcome::Unknown(cause("gone")),
            1 => Outcome::NotSent(cause("gone")),
            2 => foreign_page(),
            3 | 4 => answered(500, ""),
            5 => rejected(400, "bad"),
            _ => Outcome::Accepted,
        });
        let shutdown = watch::Sender::default();
        let items = (1..=RECORDS).map(|line| record(line, &format!("p{}", line % PEOPLE)));
        let (items, _) = feed(items);
        let stop = async {
            sleep(Duration::from_millis(seed * 20)).await;
            shutdown.send_replace(Shutdown::Drain);
        };
        let importing = import_settling(&OPTIONS, &fake, items, &shutdown);
        let ((result, settled), ()) = tokio::join!(importing, stop);
        let totals = result.totals;
        assert_eq!(settled.len(), totals.accepted + totals.rejected);
        left += RECORDS - settled.len();
        for person in 0..PEOPLE {
            let mut cursor = settled.cursor();
            let own = (1..=RECORDS).filter(|line| line % PEOPLE == person);
            let mut own = own.skip_while(|line| cursor.contains(*line));
            own.next();
            let mut cursor = settled.cursor();
            let late: Vec<_> = own.filter(|line| cursor.contains(*line)).collect();
            assert!(late.is_empty(), "seed {seed}: {late:?} of p{person}");
        }
    }
    assert!(left > 1_000, "{left}");
}
