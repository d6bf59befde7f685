//! Limits by the hour and by the day, from a cold start.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Model, Quota, RateLimitLayer};

use crate::support::{get, millis, now, status};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A server that counts in fixed windows.
struct FixedWindows {
    limit: u64,
    window: Duration,
    /// The end of the current window.
    reset: Instant,
    used: u64,
    states: bool,
    arrivals: Vec<Instant>,
    throttled: usize,
}

type Shared = Arc<Mutex<FixedWindows>>;

impl FixedWindows {
    /// Returns a server whose first window ends after `first`.
    fn new(limit: u64, window: Duration, first: Duration) -> Self {
        Self {
            limit,
            window,
            reset: now() + first,
            used: 0,
            states: false,
            arrivals: Vec::new(),
            throttled: 0,
        }
    }

    fn arrive(&mut self) -> Response<String> {
        while now() >= self.reset {
            self.reset += self.window;
            self.used = 0;
        }
        self.arrivals.push(now());
        let is_throttled = self.used >= self.limit;
        self.throttled += usize::from(is_throttled);
        self.used += u64::from(!is_throttled);
        let mut response = status(if is_throttled { 403 } else { 200 });
        // GitHub states the reset in seconds since 1970. Here every response has the same date.
        let (date, now_is) = (String::from("Tue, 14 Nov 2023 22:13:20 GMT"), 1_700_000_000);
        let reset = now_is + (self.reset - now()).as_secs();
        let fields = [
            ("date", date),
            ("x-ratelimit-limit", self.limit.to_string()),
            (
                "x-ratelimit-remaining",
                (self.limit - self.used).to_string(),
            ),
            ("x-ratelimit-used", self.used.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
        ];
        for (name, value) in fields.into_iter().filter(|_| self.states) {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }

    /// Returns the arrivals in the part of the run before and after a time.
    fn split(&self, at: Instant) -> (usize, usize) {
        let before = self.arrivals.iter().filter(|arrival| **arrival < at);
        let before = before.count();
        (before, self.arrivals.len() - before)
    }
}

/// Returns a client of the server, at a round trip of 10 ms.
fn client_of<L>(server: &Shared, layer: &L) -> L::Service
where
    L: Layer<Network>,
{
    layer.layer(Network(Arc::clone(server)))
}

#[derive(Clone)]
struct Network(Shared);

impl Service<Request<String>> for Network {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let server = Arc::clone(&self.0);
        Box::pin(async move {
            sleep(millis(5)).await;
            let response = server.lock().unwrap().arrive();
            sleep(millis(5)).await;
            Ok(response)
        })
    }
}

/// Sends so many requests, 20 at a time. Returns when the last one was answered.
async fn send<S>(client: &S, requests: usize) -> Instant
where
    S: Service<Request<String>, Response = Response<String>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug + Send,
{
    let mut callers = JoinSet::new();
    for n in 0..20 {
        let (client, own) = (
            client.clone(),
            requests / 20 + usize::from(n < requests % 20),
        );
        callers.spawn(async move {
            for _ in 0..own {
                client.clone().oneshot(get()).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    now()
}

/// A server like GitHub's: 5,000 an hour, with header fields. The first window ends in 20 minutes.
fn github(used: u64) -> (Shared, Instant) {
    let server = FixedWindows {
        used,
        states: true,
        ..FixedWindows::new(5_000, HOUR, HOUR / 3)
    };
    let reset = server.reset;
    (Arc::new(Mutex::new(server)), reset)
}

#[tokio::test(start_paused = true)]
async fn an_hourly_limit_with_header_fields_is_used_at_once_from_a_cold_start() {
    let (start, (server, reset)) = (now(), github(0));
    let client = client_of(&server, &RateLimitLayer::new(Quota::per_hour(5_000)));
    let twenty = send(&client, 20).await - start;
    assert!(twenty < Duration::from_secs(1), "{twenty:?}");
    let end = send(&client, 5_980).await;
    let server = server.lock().unwrap();
    assert_eq!((server.throttled, server.split(reset)), (0, (5_000, 1_000)));
    let after = end - reset;
    assert!(after < Duration::from_secs(60), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_have_used_of_an_hourly_limit_is_left_out_once_the_first_answer_states_it() {
    let (server, reset) = github(1_200);
    let client = client_of(&server, &RateLimitLayer::new(Quota::per_hour(5_000)));
    let end = send(&client, 4_800).await;
    let server = server.lock().unwrap();
    assert_eq!((server.throttled, server.split(reset)), (0, (3_800, 1_000)));
    let after = end - reset;
    assert!(after < Duration::from_secs(60), "{after:?}");
}

/// The settings of the docs for a limit without header fields: the time until the 20th and the
/// 1,000th answer.
#[tokio::test(start_paused = true)]
async fn an_hourly_limit_without_header_fields_is_as_fast_as_its_settings_say() {
    let hourly = Quota::per_hour(5_000);
    let whole = hourly
        .model(Model::FixedWindow)
        .unwrap()
        .burst(5_000)
        .unwrap();
    for (quota, twenty, thousand) in [
        (hourly, 15, 736),
        (hourly.unused_at_start(), 1, 9000),
        (whole, 9000, 9000),
        (whole.unused_at_start(), 1, 9000),
    ] {
        let (start, server) = (now(), FixedWindows::new(5_000, HOUR, HOUR / 3));
        let server = Arc::new(Mutex::new(server));
        let client = client_of(&server, &RateLimitLayer::new(quota));
        let first = send(&client, 20).await - start;
        let last = send(&client, 980).await - start;
        eprintln!("{:?} {:?} {quota:?}", first, last);
        assert!(first <= Duration::from_secs(twenty), "{first:?} {quota:?}");
        assert!(last <= Duration::from_secs(thousand), "{last:?} {quota:?}");
        assert_eq!(server.lock().unwrap().throttled, 0);
    }
}

/// The server states nothing, and its window ends at midnight. The caller knows that.
#[tokio::test(start_paused = true)]
async fn a_daily_limit_that_resets_at_midnight_is_used_anew_each_day() {
    // It is 23:00, and the server's clock is 50 ms behind.
    let (start, server) = (now(), FixedWindows::new(1_000, DAY, HOUR + millis(50)));
    let server = Arc::new(Mutex::new(server));
    let daily = Quota::new(1_000, DAY).unwrap();
    let daily = daily
        .model(Model::FixedWindow)
        .unwrap()
        .burst(1_000)
        .unwrap();
    let layer = RateLimitLayer::new(daily.unused_at_start());
    let client = client_of(&server, &layer);
    for days in 0..4_u32 {
        // More than the rest of the day allows: the others wait for the next one.
        let callers = client.clone();
        let sent = tokio::spawn(async move { send(&callers, 1_010).await });
        sleep_until(start + HOUR + DAY * days + Duration::from_secs(1)).await;
        assert!(!sent.is_finished());
        layer.handle().record_reset();
        let sent = sent.await.unwrap();
        assert!(sent - now() < millis(50));
        let used = server.lock().unwrap().used;
        assert_eq!(used, 10 * (u64::from(days) + 1));
    }
    assert_eq!(server.lock().unwrap().throttled, 0);
}
