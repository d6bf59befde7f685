//! The App API before a service with faults that keeps its own books, and before one that counts
//! each limit.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use customerio::app::{Email, Trigger};
use customerio::client::{Error, RetryPolicy};
use customerio::{Attributes, Client};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::Service;

use crate::app::app_builder;
use crate::scripted_service::now;
use crate::support::person;

const TAKEN: &str = r#"{"delivery_id":"d1","queued_at":1700000000,"id":7}"#;

/// An API whose network and gateway fail at random. It counts how often it delivers each message.
#[derive(Clone)]
struct FaultyApi(Arc<Mutex<Books>>);

struct Books {
    random: StdRng,
    deliveries: HashMap<u64, u32>,
}

/// How one attempt ends.
enum End {
    Answer(u16, Option<&'static str>, &'static str),
    /// An error of the connection.
    Error(io::ErrorKind),
    Hang,
}

impl FaultyApi {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Books {
            random: StdRng::seed_from_u64(seed),
            deliveries: HashMap::new(),
        })))
    }

    fn deliveries(&self, message: u64) -> u32 {
        let books = self.0.lock().unwrap();
        books.deliveries.get(&message).copied().unwrap_or(0)
    }

    fn end(&self, message: u64) -> (Duration, End) {
        let books = &mut *self.0.lock().unwrap();
        let latency = Duration::from_millis(books.random.random_range(1..200));
        // After these faults, the message may or may not have been processed.
        let is_processed = books.random.random_bool(0.5);
        let (is_delivered, end) = match books.random.random_range(0..16) {
            0 => (is_processed, End::Error(io::ErrorKind::ConnectionReset)),
            1 => (is_processed, End::Hang),
            2 => (
                is_processed,
                End::Answer(502, None, "<html>Bad Gateway</html>"),
            ),
            3 => (is_processed, End::Answer(503, Some("1"), "")),
            4 => (is_processed, End::Answer(500, None, "{}")),
            5 => (is_processed, End::Answer(408, None, "")),
            6 => (is_processed, End::Answer(200, None, "<html>log in</html>")),
            7 => (is_processed, End::Answer(200, None, "{}")),
            // These say that it was not processed.
            8 | 12 => (false, End::Error(io::ErrorKind::ConnectionRefused)),
            9 | 13 => (false, End::Answer(429, Some("2"), "")),
            10 => (false, End::Answer(429, None, "")),
            11 => (false, End::Answer(400, None, r#"{"meta":{"error":"no"}}"#)),
            _ => (true, End::Answer(200, None, TAKEN)),
        };
        *books.deliveries.entry(message).or_default() += u32::from(is_delivered);
        (latency, end)
    }
}

impl Service<Request<Full<Bytes>>> for FaultyApi {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            let Ok(body) = request.into_body().collect().await;
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            let (latency, end) = api.end(body["message_data"]["n"].as_u64().unwrap());
            sleep(latency).await;
            match end {
                End::Answer(status, retry_after, body) => {
                    let response = Response::builder().status(status);
                    let response = match retry_after {
                        Some(seconds) => response.header("retry-after", seconds),
                        None => response,
                    };
                    Ok(response
                        .body(Full::new(Bytes::from_static(body.as_bytes())))
                        .unwrap())
                }
                End::Error(kind) => Err(kind.into()),
                End::Hang => pending().await,
            }
        })
    }
}

/// The seeds of the test; `SEED` in the environment repeats one.
fn seeds() -> std::ops::Range<u64> {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    seed.map_or(0..1_000, |seed| seed..seed + 1)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_at_most_once_and_its_outcome_is_true() {
    let mut outcomes = [0; 4];
    for seed in seeds() {
        let api = FaultyApi::new(seed);
        let retry = RetryPolicy::default().attempts(2).throttled(1);
        let client = app_builder()
            .retry(retry)
            .jitter_seed(seed)
            .build_with(api.clone());
        let client = client.unwrap();
        let mut messages = JoinSet::new();
        for message in 0..4_u64 {
            let app = client.app();
            messages.spawn(async move {
                let email = Email::new(1, &person("u1"), "a@b.co");
                let email = email.data(&json!({"n": message})).unwrap();
                (message, app.send(&email).await)
            });
        }
        while let Some(ended) = messages.join_next().await {
            let (message, result) = ended.unwrap();
            let delivered = api.deliveries(message);
            let (index, expected) = match &result {
                Ok(_) => (0, 1..=1),
                Err(error) if error.may_have_been_applied() => (1, 0..=1),
                Err(error) if error.is_rejected() => (2, 0..=0),
                Err(_) => (3, 0..=0),
            };
            outcomes[index] += 1;
            assert!(
                expected.contains(&delivered),
                "SEED={seed}: {delivered} times, {result:?}"
            );
        }
    }
    println!("accepted, unknown, rejected, not sent: {outcomes:?}");
    let is_one = seeds().count() == 1;
    assert!(
        is_one || outcomes.iter().all(|count| *count > 0),
        "{outcomes:?}"
    );
}

/// An API that counts the requests to each of its limits exactly, in sliding windows.
#[derive(Clone)]
struct CountingApi(Arc<Mutex<[Log; 3]>>);

/// The arrivals of one limit.
#[derive(Default)]
struct Log {
    limit: usize,
    window: Duration,
    arrivals: VecDeque<Instant>,
    all: Vec<Duration>,
    throttled: u32,
}

const TRACK: usize = 0;
const APP: usize = 1;
const TRIGGER: usize = 2;

impl CountingApi {
    fn new() -> Self {
        let log = |limit, seconds| Log {
            limit,
            window: Duration::from_secs(seconds),
            ..Log::default()
        };
        Self(Arc::new(Mutex::new([
            log(3_000, 3),
            log(10, 1),
            log(1, 10),
        ])))
    }

    /// Returns whether a request to `path` is within its limit.
    fn count(&self, path: &str, started: Instant) -> bool {
        let index = match path {
            path if path.ends_with("/triggers") => TRIGGER,
            path if path.starts_with("/v1/") => APP,
            _ => TRACK,
        };
        let log = &mut self.0.lock().unwrap()[index];
        let arrived = now();
        while log
            .arrivals
            .front()
            .is_some_and(|first| arrived - *first >= log.window)
        {
            log.arrivals.pop_front();
        }
        let is_within = log.arrivals.len() < log.limit;
        log.throttled += u32::from(!is_within);
        log.arrivals.push_back(arrived);
        log.all.push(arrived - started);
        is_within
    }
}

#[tokio::test(start_paused = true)]
async fn triggers_keep_their_limit_and_nothing_else_waits_for_them() {
    const SECONDS: u64 = 21;
    let (api, started) = (CountingApi::new(), now());
    let service = {
        let api = api.clone();
        tower::service_fn(move |request: Request<Full<Bytes>>| {
            let api = api.clone();
            async move {
                sleep(Duration::from_millis(5)).await;
                let status = if api.count(request.uri().path(), started) {
                    200
                } else {
                    429
                };
                let body = Full::new(Bytes::from_static(TAKEN.as_bytes()));
                Response::builder().status(status).body(body)
            }
        })
    };
    let client = app_builder().build_with(service).unwrap();
    let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
    for _ in 0..3 {
        let app = client.app();
        tasks.spawn(async move { app.trigger(&Trigger::new(5)).await.map(drop) });
    }
    let end = started + Duration::from_secs(SECONDS);
    for _ in 0..4 {
        tasks.spawn(query(client.clone(), end));
    }
    for _ in 0..32 {
        tasks.spawn(track(client.clone(), end));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap().unwrap();
    }
    let logs = api.0.lock().unwrap();
    let counts = logs.each_ref().map(|log| log.all.len());
    println!(
        "track, app, trigger: {counts:?}; triggers at {:?}",
        logs[TRIGGER].all
    );
    assert_eq!(logs.each_ref().map(|log| log.throttled), [0; 3]);
    assert_eq!(client.stats().throttled, 0);
    let triggers = &logs[TRIGGER].all;
    assert_eq!(triggers.len(), 3);
    for (index, at) in triggers.iter().enumerate() {
        let expected = Duration::from_secs(10 * index as u64);
        assert!(
            at.abs_diff(expected) < Duration::from_millis(100),
            "{triggers:?}"
        );
    }
    let seconds = usize::try_from(SECONDS).unwrap();
    // The limiters start with a reserve, and the triggers take none of these.
    assert!(counts[APP] >= 9 * seconds, "{counts:?}");
    assert!(counts[TRACK] >= 870 * seconds, "{counts:?}");
}

async fn query(client: Client, end: Instant) -> Result<(), Error> {
    while now() < end {
        client
            .app()
            .request(Method::GET, "/v1/exports")
            .send()
            .await?;
    }
    Ok(())
}

async fn track(client: Client, end: Instant) -> Result<(), Error> {
    while now() < end {
        client.identify(&person("u1"), &Attributes::new()).await?;
    }
    Ok(())
}
