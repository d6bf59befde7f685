//! One classifier for the retry and the rate limit: the errors of a client of one's own, and
//! responses that mean more than their status.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_pace::retry::Verdict;
use tower_pace::{
    Classifier, ConcurrencyLayer, HintHeaders, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer,
    RetryPolicy,
};

use crate::support::{Server, get, millis, now, on_a_paused_runtime, post, status};

const SEEDS: u64 = 1_000;
const CALLS: u64 = 5;

/// The error of a client that no crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientError {
    /// Nothing was sent.
    Connect,
    /// The server had read the request.
    Reset,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for ClientError {}

fn taught() -> Classifier {
    Classifier::new().not_sent_if(|error: &ClientError| *error == ClientError::Connect)
}

/// The server's books: how often each end occurred.
#[derive(Debug, Default)]
struct Books {
    unconnected: AtomicU64,
    reset: AtomicU64,
    answered: AtomicU64,
}

type Client = BoxCloneService<Request<String>, Response<String>, ClientError>;

/// Returns a client that cannot connect, is reset after the server read the request, or gets its
/// response, at random.
fn client(seed: u64, books: &Arc<Books>) -> Client {
    let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
    let books = Arc::clone(books);
    BoxCloneService::new(service_fn(move |_| {
        let mut rng = rng.lock().unwrap();
        let (fate, time) = (rng.random_range(0..4), millis(rng.random_range(0..300)));
        let books = Arc::clone(&books);
        async move {
            tokio::time::sleep(time).await;
            let (count, result) = match fate {
                0 | 1 => (&books.unconnected, Err(ClientError::Connect)),
                2 => (&books.reset, Err(ClientError::Reset)),
                _ => (&books.answered, Ok(status(200))),
            };
            count.fetch_add(1, Ordering::Relaxed);
            result
        }
    }))
}

/// All slots of an hour are held to the end of the test, unless they are released.
fn hourly(slots: u32) -> RateLimitLayer {
    RateLimitLayer::new(Quota::new(slots, Duration::from_secs(3_600)).unwrap())
}

fn persistent(seed: u64) -> RetryLayer {
    let policy = RetryPolicy::default().attempts(30).without_budget();
    RetryLayer::new(policy).seed(seed)
}

/// Sends POSTs and checks that the server read each at most once, that each whose connection
/// failed was sent again, and that exactly these were refunded. Then checks by a limit of one slot
/// that a refund releases it.
fn check<S>(stack: impl Fn(RetryLayer, &RateLimitLayer, Client) -> S)
where
    S: Service<Request<String>, Response = Response<String>, Error: fmt::Display> + Clone,
{
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    for seed in 0..SEEDS {
        on_a_paused_runtime(async {
            let limit = hourly(10_000).classifier(taught());
            let books = Arc::new(Books::default());
            let retry = persistent(seed).classifier(taught());
            let stack = stack(retry, &limit, client(seed, &books));
            let (mut accepted, mut reset) = (0, 0);
            for _ in 0..CALLS {
                match stack.clone().oneshot(post()).await {
                    Ok(_) => accepted += 1,
                    Err(error) => {
                        assert_eq!(error.to_string(), "Reset", "seed {seed}");
                        reset += 1;
                    }
                }
            }
            assert_eq!(accepted, count(&books.answered), "seed {seed}");
            assert_eq!(reset, count(&books.reset), "seed {seed}: each is sent once");
            let seen = limit.handle().snapshot();
            assert_eq!(seen.counters.answered, accepted, "seed {seed}");
            assert_eq!(seen.counters.abandoned, reset, "seed {seed}");
            assert_eq!(
                seen.counters.unsent,
                count(&books.unconnected),
                "seed {seed}"
            );
        });
    }
    for seed in 0..SEEDS {
        on_a_paused_runtime(async {
            let limit = hourly(1).classifier(taught());
            let left = Arc::new(AtomicU64::new(1 + seed % 5));
            let client = BoxCloneService::new(service_fn(move |_| {
                let is_refused = left.load(Ordering::Relaxed) > 0;
                left.fetch_sub(u64::from(is_refused), Ordering::Relaxed);
                async move {
                    match is_refused {
                        true => Err(ClientError::Connect),
                        false => Ok(status(200)),
                    }
                }
            }));
            let start = now();
            let retry = persistent(seed).classifier(taught());
            let response = stack(retry, &limit, client).oneshot(post()).await;
            assert!(
                response.is_ok() && now() - start < Duration::from_secs(60),
                "seed {seed}"
            );
        });
    }
}

#[test]
fn a_post_that_did_not_connect_is_sent_again_and_one_that_was_reset_is_sent_once() {
    check(|retry, limit, client| retry.layer(limit.layer(client)));
}

#[test]
fn the_same_holds_in_a_box() {
    check(|retry, limit, client| retry.layer(limit.layer(client.map_err(BoxError::from))));
}

#[test]
fn the_same_holds_behind_bounded_limits_and_a_box_between_them() {
    let minute = Duration::from_secs(60);
    check(|retry, limit, client| {
        let permits = ConcurrencyLayer::new(2).until_response().max_wait(minute);
        let limit = limit.clone().max_wait(minute);
        retry.layer(limit.layer(permits.layer(client)))
    });
    check(|retry, limit, client| {
        let permits = ConcurrencyLayer::new(2).until_response().max_wait(minute);
        let limit = limit.clone().max_wait(minute);
        retry.layer(limit.layer(permits.layer(client).map_err(BoxError::from)))
    });
}

#[tokio::test(start_paused = true)]
async fn without_a_classifier_the_answer_is_the_safe_one() {
    let limit = hourly(10_000);
    let refused =
        service_fn(|_: Request<String>| async { Err::<Response<String>, _>(ClientError::Connect) });
    let stack = persistent(1).layer(limit.layer(refused));
    assert_eq!(
        stack.oneshot(post()).await.unwrap_err(),
        ClientError::Connect
    );
    let counters = limit.handle().snapshot().counters;
    assert_eq!((counters.departed, counters.unsent), (1, 0));
}

/// A server that throttles with a status of its own, the first request only.
fn throttling(status: u16, fields: &[(&'static str, &'static str)]) -> Server {
    let mut throttled = Response::builder().status(status);
    for (name, value) in fields {
        throttled = throttled.header(*name, *value);
    }
    let throttled = throttled.body(String::new()).unwrap();
    Server::new(millis(1), move |call| match call {
        0 => throttled.clone(),
        _ => crate::support::status(200),
    })
}

/// Checks that the retry waits, and that the gate of the limit is closed for everyone else.
async fn check_gate(classifier: Classifier, server: Server, delay: Duration) {
    let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(classifier.clone());
    let retry = RetryLayer::new(RetryPolicy::default()).classifier(classifier);
    let stack = retry.layer(limit.layer(server.clone()));
    let first = tokio::spawn(stack.oneshot(post()));
    tokio::time::sleep(millis(200)).await;
    let other = tokio::spawn(limit.layer(server.clone()).oneshot(post()));
    for response in [first.await.unwrap(), other.await.unwrap()] {
        assert_eq!(response.unwrap().status(), 200);
    }
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls[1] - calls[0] >= delay, "{:?}", calls[1] - calls[0]);
    assert_eq!(limit.handle().snapshot().counters.throttled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_response_that_only_a_rule_knows_closes_the_gate() {
    let by_remaining = || {
        Classifier::new().classify(|status, headers| {
            let is_used_up = headers
                .get("x-ratelimit-remaining")
                .is_some_and(|left| left == "0");
            (status == 403 && is_used_up).then_some(Verdict::Throttled)
        })
    };
    let used_up = [
        ("date", "Fri, 29 Sep 2023 16:26:37 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1696004807"),
    ];
    let server = throttling(403, &used_up);
    check_gate(by_remaining(), server, Duration::from_secs(10)).await;
    let fields = [("x-ratelimit-remaining", "0"), ("retry-after", "3")];
    let server = throttling(403, &fields);
    check_gate(by_remaining(), server, Duration::from_secs(3)).await;
    let server = throttling(403, &[("x-ratelimit-remaining", "7")]);
    let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(by_remaining());
    let response = limit.layer(server).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(limit.handle().snapshot().counters.throttled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_429_that_a_rule_takes_as_final_closes_no_gate_and_is_not_retried() {
    let paid = Classifier::new().classify(|_, headers| {
        headers
            .contains_key("x-quota-exceeded")
            .then_some(Verdict::Final)
    });
    let server = throttling(429, &[("x-quota-exceeded", "1"), ("retry-after", "9")]);
    let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(paid.clone());
    let retry = RetryLayer::default().classifier(paid);
    let response = retry
        .layer(limit.layer(server))
        .oneshot(get())
        .await
        .unwrap();
    assert_eq!(response.status(), 429);
    let seen = limit.handle().snapshot();
    assert_eq!((seen.gate, seen.counters.throttled), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn the_limit_reads_the_hint_headers_of_its_classifier_for_each_key_too() {
    let hints = HintHeaders::default().delay_in_millis(HeaderName::from_static("x-backoff-ms"));
    let hints = Classifier::new().hint_headers(hints);
    let throttled = || throttling(429, &[("x-backoff-ms", "4500")]);
    check_gate(hints.clone(), throttled(), millis(4_500)).await;
    let keyed = RateLimitLayer::keyed(Quota::per_second(9), |_: &Request<String>| 1)
        .classifier(hints)
        .max_keys(3);
    drop(keyed.layer(throttled()).oneshot(get()).await.unwrap());
    let gate = keyed.handle_of(&1).unwrap().snapshot().gate.unwrap();
    assert!(gate > millis(4_000), "{gate:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_with_a_classifier_is_another_one() {
    let plain = RateLimitLayer::new(Quota::per_second(9));
    plain.handle().set_quota(Quota::per_second(7));
    let taught = plain.clone().max_wait(millis(500)).classifier(taught());
    assert_eq!(taught.handle().snapshot().quota, Quota::per_second(7));
    taught.layer(Server::ok()).oneshot(get()).await.unwrap();
    assert_eq!(taught.handle().snapshot().counters.departed, 1);
    assert_eq!(plain.handle().snapshot().counters.departed, 0);
}

fn grpc_stack(server: Server, limit: &RateLimitLayer) -> Retry<RateLimit<Server>> {
    let policy = RetryPolicy::default().replays(|_| true);
    let retry = RetryLayer::new(policy)
        .seed(1)
        .classifier(Classifier::grpc());
    retry.layer(limit.layer(server))
}

fn grpc(status: &'static str) -> Response<String> {
    let response = Response::builder().header("grpc-status", status);
    response.body(String::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn grpc_calls_succeed_though_every_fifth_is_unavailable() {
    let server = Server::new(millis(1), |call| {
        grpc(if call % 5 == 4 { "14" } else { "0" })
    });
    let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(Classifier::grpc());
    let stack = grpc_stack(server.clone(), &limit);
    for _ in 0..100 {
        let response = stack.clone().oneshot(post()).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "0");
    }
    assert_eq!(server.calls().len(), 124);
    let seen = limit.handle().snapshot();
    assert_eq!((seen.gate, seen.counters.throttled), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_resource_exhausted_closes_the_gate_if_it_says_for_how_long() {
    // A `RetryInfo` of 2.5 s.
    let details = "CAgSCXNsb3cgZG93bho2Cih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZv\
                   EgoKCAgCEIDKte4B";
    let fields = [("grpc-status", "8"), ("grpc-status-details-bin", details)];
    check_gate(Classifier::grpc(), throttling(200, &fields), millis(2_500)).await;
    let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(Classifier::grpc());
    let stack = grpc_stack(Server::new(millis(1), |_| grpc("8")), &limit);
    let response = stack.oneshot(post()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");
    assert_eq!(limit.handle().snapshot().counters.departed, 1);
    assert_eq!(limit.handle().snapshot().gate, None);
}
