//! The settings of a concurrency limit: how long a permit is held, bounded waits, and the handle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::concurrency::{Handle, PermitBody, Snapshot};
use tower_pace::{Adaptive, ConcurrencyLayer, Error, Quota, RateLimitLayer};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status};

fn in_flight(handle: &Handle) -> usize {
    handle.snapshot().in_flight
}

fn slow() -> Server {
    Server::new(millis(100), |_| {
        let mut reply = status(200);
        *reply.body_mut() = String::from("hello");
        reply
    })
}

async fn ready<S: Service<Request<String>>>(service: &mut S) {
    assert!(service.ready().await.is_ok());
}

fn is_ready<S: Service<Request<String>>>(service: &mut S) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    service.poll_ready(&mut cx).is_ready()
}

#[tokio::test(start_paused = true)]
async fn until_response_releases_the_permit_with_the_head_and_leaves_the_body_unchanged() {
    let layer = ConcurrencyLayer::new(1).until_response();
    let response: Response<String> = layer.layer(slow()).oneshot(get()).await.unwrap();
    assert_eq!(in_flight(&layer.handle()), 0);
    assert_eq!(response.into_body(), "hello");
}

#[tokio::test(start_paused = true)]
async fn services_that_hold_permits_until_the_body_end_and_until_the_response_share_a_limit() {
    let until_body_end = ConcurrencyLayer::new(2);
    let handle = until_body_end.handle();
    let body = until_body_end.layer(slow()).oneshot(get()).await.unwrap();
    let until_response = until_body_end.clone().until_response();
    let _head = until_response.layer(slow()).oneshot(get()).await.unwrap();
    assert_eq!(in_flight(&handle), 1);
    let again = until_response.until_body_end().layer(slow());
    let _body = again.oneshot(get()).await.unwrap();
    assert_eq!(in_flight(&handle), 2);
    drop(body);
    assert_eq!(in_flight(&handle), 1);
}

#[tokio::test(start_paused = true)]
async fn a_permit_body_is_transparent_and_can_be_made_empty() {
    let layer = ConcurrencyLayer::new(1);
    let inner = tower::service_fn(|_: Request<String>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    });
    let body = layer.layer(inner).oneshot(get()).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    assert!(PermitBody::<Full<Bytes>>::default().is_end_stream());
}

/// A body that is not read holds its own permit. Waiters are blocked only if there is no other
/// permit.
#[tokio::test(start_paused = true)]
async fn an_unread_body_holds_its_own_permit_only() {
    let layer = ConcurrencyLayer::new(2);
    let service = layer.layer(slow());
    let parked = service.clone().oneshot(get()).await.unwrap();
    let start = now();
    for _ in 0..5 {
        service.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(
        now() - start,
        millis(500),
        "the calls share the other permit"
    );
    let _second = service.clone().oneshot(get()).await.unwrap();
    let mut waiting = task::spawn(service.clone().oneshot(get()));
    assert_pending!(waiting.poll());
    assert_eq!(layer.handle().snapshot().queued, 1);
    drop(parked);
    assert!(waiting.is_woken());
    assert!(waiting.await.is_ok());
}

/// tower's `ConcurrencyLimit` hands its permit to the idle clone, and all others wait forever.
#[tokio::test(start_paused = true)]
async fn an_idle_clone_that_was_polled_once_holds_no_permit() {
    let service = ConcurrencyLayer::new(1).layer(Server::ok());
    let mut holder = service.clone();
    ready(&mut holder).await;
    let mut idle = service.clone();
    assert!(!is_ready(&mut idle));
    drop(holder);
    let mut other = service.clone();
    let waited = tokio::time::timeout(millis(111), ready(&mut other)).await;
    assert!(
        waited.is_ok(),
        "the idle clone is passed over after a grace"
    );
}

/// tower's completed future holds its permit until it is dropped.
#[tokio::test(start_paused = true)]
async fn a_completed_future_that_is_not_dropped_holds_no_permit_until_response() {
    let (mock, mut server) = mock::pair::<Request<String>, Response<String>>();
    let layer = ConcurrencyLayer::new(1).until_response();
    let mut service = layer.layer(mock);
    server.allow(1);
    ready(&mut service).await;
    let mut call = task::spawn(service.call(get()));
    assert_pending!(call.poll());
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(status(200));
    assert!(assert_ready!(call.poll()).is_ok());
    assert_eq!(in_flight(&layer.handle()), 0);
    drop(call);
    assert_eq!(in_flight(&layer.handle()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_wait_queue_rejects_and_sends_nothing() {
    let layer = ConcurrencyLayer::new(1).max_queued(1);
    let server = slow();
    let service = layer.layer(server.clone());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let call = service.clone().oneshot(get());
        tasks.spawn(async { call.await.map(drop) });
    }
    let results = tasks.join_all().await;
    let rejected: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!((rejected.len(), server.calls().len()), (1, 2));
    assert!(rejected[0].rejection().unwrap().is_full());
    assert!(
        service.oneshot(get()).await.is_ok(),
        "the service works as before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_bound() {
    let service = ConcurrencyLayer::new(1).max_wait(millis(30)).layer(slow());
    let _held = service.clone().oneshot(get()).await.unwrap();
    let start = now();
    let error: Error<_> = service.clone().oneshot(get()).await.unwrap_err();
    assert!(error.rejection().unwrap().is_too_long());
    assert_eq!(now() - start, millis(30));
}

#[tokio::test(start_paused = true)]
async fn fail_fast_rejects_without_a_wait() {
    let layer = ConcurrencyLayer::new(1).fail_fast();
    let service = layer.layer(slow());
    let held = service.clone().oneshot(get()).await.unwrap();
    let start = now();
    assert!(service.clone().oneshot(get()).await.is_err());
    assert_eq!(
        (now() - start, layer.handle().snapshot().queued),
        (millis(0), 0)
    );
    drop(held);
    assert!(service.oneshot(get()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_inner_service_that_is_not_ready_ends_at_its_bound() {
    let (stuck, mut server) = mock::pair::<Request<String>, Response<String>>();
    server.allow(0);
    let layer = ConcurrencyLayer::new(1).max_wait(millis(30));
    let error = layer.layer(stuck).oneshot(get()).await.unwrap_err();
    assert!(error.rejection().unwrap().is_too_long());
    assert_eq!(in_flight(&layer.handle()), 0);
}

#[tokio::test(start_paused = true)]
async fn the_inner_services_error_keeps_its_type() {
    let inner = tower::service_fn(|_: Request<String>| async {
        Err::<Response<String>, _>(std::fmt::Error)
    });
    let layer = ConcurrencyLayer::new(1);
    let error: std::fmt::Error = layer.layer(inner).oneshot(get()).await.unwrap_err();
    let bounded = layer
        .fail_fast()
        .layer(inner)
        .oneshot(get())
        .await
        .unwrap_err();
    assert_eq!(bounded.get_ref(), Some(&error));
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_counts_answered_failed_and_cancelled_calls() {
    let layer = ConcurrencyLayer::new(4);
    let (mock, mut server) = mock::pair::<Request<String>, Response<String>>();
    server.allow(4);
    let service = layer.layer(mock);
    let mut unused = service.clone();
    ready(&mut unused).await;
    let mut calls: Vec<_> = (0..3)
        .map(|_| task::spawn(service.clone().oneshot(get())))
        .collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    assert_eq!(in_flight(&layer.handle()), 4);
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(status(429));
    server.next_request().await.unwrap().1.send_error("reset");
    assert!(assert_ready!(calls[0].poll()).is_ok());
    assert!(assert_ready!(calls[1].poll()).is_err());
    drop((calls, unused));
    let Snapshot {
        in_flight,
        answered,
        failed,
        cancelled,
        ..
    } = layer.handle().snapshot();
    assert_eq!((in_flight, answered, failed, cancelled), (0, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_waiters_depart_at_once() {
    let layer = ConcurrencyLayer::new(1);
    let service = layer.layer(slow());
    let start = now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tokio::task::yield_now().await;
    layer.handle().set_limit(10);
    tasks.join_all().await;
    assert_eq!(now() - start, millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_cancels_no_call_and_grants_no_permit_before_enough_are_released() {
    let layer = ConcurrencyLayer::new(3);
    let service = layer.layer(Server::ok());
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut service = service.clone();
        ready(&mut service).await;
        held.push(service);
    }
    layer.handle().set_limit(1);
    assert_eq!(
        (in_flight(&layer.handle()), layer.handle().snapshot().limit),
        (3, 1)
    );
    for _ in 0..2 {
        held.pop();
        let mut other = task::spawn(service.clone().oneshot(get()));
        assert_pending!(other.poll());
    }
    held.pop();
    assert!(service.oneshot(get()).await.is_ok());
}

#[test]
#[should_panic(expected = "a concurrency of 0 lets nothing through")]
fn set_limit_of_zero_panics() {
    ConcurrencyLayer::new(1).handle().set_limit(0);
}

#[test]
fn set_limit_keeps_the_bounds_of_an_adaptive_limit() {
    let handle = ConcurrencyLayer::adaptive(Adaptive::between(2, 20)).handle();
    for (wanted, got) in [(0, 2), (5, 5), (50, 20)] {
        handle.set_limit(wanted);
        assert_eq!(handle.snapshot().limit, got);
    }
}

/// A departure that is acquired before its permit would be used late: permits that are released
/// together would let a burst depart.
#[tokio::test(start_paused = true)]
async fn permits_that_are_released_together_after_a_stall_cause_no_burst() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let stalled = Stalling {
        sent: Arc::clone(&sent),
        calls: Arc::default(),
    };
    let quota = Quota::per_second(10);
    let client = RateLimitLayer::new(quota).layer(ConcurrencyLayer::new(10).layer(stalled));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        tasks.spawn(client.clone().oneshot(get()));
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 50);
    let too_close = sent
        .windows(11)
        .find(|sends| sends[10] - sends[0] < millis(1000));
    assert_eq!(too_close, None);
}

/// A server that answers its first ten requests together, 4 s after the first, and each later one
/// after 5 ms.
#[derive(Clone)]
struct Stalling {
    sent: Arc<Mutex<Vec<tokio::time::Instant>>>,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<String>> for Stalling {
    type Response = Response<String>;
    type Error = std::convert::Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let mut sent = self.sent.lock().unwrap();
        sent.push(now());
        let answer = match self.calls.fetch_add(1, Ordering::Relaxed) {
            0..10 => (sent[0] + millis(4_000)).max(now()),
            _ => now() + millis(5),
        };
        Box::pin(async move {
            tokio::time::sleep_until(answer).await;
            Ok(status(200))
        })
    }
}
