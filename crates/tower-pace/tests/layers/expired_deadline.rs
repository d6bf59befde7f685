//! A request whose deadline has passed before it departs is not sent by any layer that obeys
//! deadlines.

use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{
    Adaptive, ConcurrencyLayer, Deadline, DeadlineLayer, Quota, RateLimitLayer, RetryLayer,
    RetryPolicy, was_sent,
};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status};

fn due_in(time: Duration) -> Request<String> {
    let mut request = get();
    request.extensions_mut().insert(Deadline::within(time));
    request
}

/// Makes a request that is due in `due` and first polls its future after `late`. Returns true if it
/// was sent.
async fn is_sent<S>(name: &str, service: &S, server: &Server, due: Duration, late: Duration) -> bool
where
    S: Service<Request<String>> + Clone,
    S::Error: Error + Send + Sync + 'static,
{
    let before = server.calls().len();
    let mut service = service.clone();
    let request = due_in(due);
    let ready = service.ready().await;
    let call = ready
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .call(request);
    tokio::time::sleep(late).await;
    let result = call.await.map(drop);
    let sent = server.calls().len() - before;
    assert_eq!(result.is_ok(), sent == 1, "{name}: {sent} with {result:?}");
    if let Err(error) = result {
        assert!(error.to_string().contains("rejected") || error.to_string().contains("deadline"));
    }
    sent == 1
}

/// The time in which a request is due, the time until its first poll, and whether it is sent, for a
/// service that sends in `call`.
const BY_CALL: [(u64, u64, bool); 3] = [(1_000, 0, true), (0, 0, false), (1_000, 5, true)];
/// The same for a service that sends in its future.
const BY_POLL: [(u64, u64, bool); 6] = [
    (1_000, 0, true),
    (0, 0, false),
    (0, 5, false),
    (10, 20, false),
    (10, 10, false),
    (1_000, 5, true),
];

async fn check<S>(name: &str, service: S, server: &Server, table: &[(u64, u64, bool)])
where
    S: Service<Request<String>> + Clone,
    S::Error: Error + Send + Sync + 'static,
{
    // The first request of a rate limit always waits. After it, a request departs at once if it is
    // in time.
    let _ = service.clone().oneshot(get()).await;
    for &(due, late, expected) in table {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let name = format!("{name}, due in {due} ms, first polled after {late} ms");
        let sent = is_sent(&name, &service, server, millis(due), millis(late)).await;
        assert_eq!(sent, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_layer_sends_a_request_after_its_deadline() {
    let server = Server::new(millis(1), |_| status(200));
    let rate = || RateLimitLayer::new(Quota::per_second(10));
    let inner = server.clone();
    let second = Duration::from_secs(1);
    check(
        "max_wait",
        rate().max_wait(millis(500)).layer(inner.clone()),
        &server,
        &BY_POLL,
    )
    .await;
    check(
        "max_queued",
        rate().max_queued(5).layer(inner.clone()),
        &server,
        &BY_POLL,
    )
    .await;
    check(
        "fail_fast",
        rate().fail_fast().layer(inner.clone()),
        &server,
        &BY_POLL,
    )
    .await;
    let keyed = RateLimitLayer::keyed(Quota::per_second(10), |_: &Request<String>| 1);
    check(
        "keyed",
        keyed.max_queued(5).layer(inner.clone()),
        &server,
        &BY_POLL,
    )
    .await;
    let over_rate = DeadlineLayer::new(second).layer(rate().layer(inner.clone()));
    check("a deadline over a rate limit", over_rate, &server, &BY_POLL).await;
    let deadline = DeadlineLayer::new(second).layer(inner.clone());
    check("a deadline", deadline, &server, &BY_CALL).await;
    let retry = RetryLayer::new(RetryPolicy::default())
        .seed(1)
        .deadline(second);
    check(
        "a retry with a deadline",
        retry.layer(inner.clone()),
        &server,
        &BY_CALL,
    )
    .await;
    let permits = ConcurrencyLayer::new(1).layer(inner);
    check(
        "a deadline over permits",
        DeadlineLayer::new(second).layer(permits),
        &server,
        &BY_CALL,
    )
    .await;
}

/// A concurrency limit sends in `call`, so only the wait for a permit can pass the deadline.
#[tokio::test(start_paused = true)]
async fn a_bounded_concurrency_limit_sends_no_request_after_its_deadline() {
    let server = Server::new(millis(1), |_| status(200));
    for layer in [
        ConcurrencyLayer::new(1),
        ConcurrencyLayer::adaptive(Adaptive::between(1, 1)),
    ] {
        let layer = layer.max_wait(millis(500));
        let service = layer.layer(server.clone());
        for (due, expected) in [(1_000, true), (0, false), (1, true)] {
            let sent = is_sent("permits", &service, &server, millis(due), millis(0)).await;
            assert_eq!(sent, expected);
            assert_eq!(layer.handle().snapshot().in_flight, 0);
        }
    }
}

/// Its departure is due, but it is polled too late.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_polled_after_its_deadline_is_rejected() {
    let server = Server::ok();
    let service = RateLimitLayer::new(Quota::per_second(10))
        .max_queued(5)
        .layer(server.clone());
    service.clone().oneshot(get()).await.unwrap();
    let mut waiting = tokio_test::task::spawn(service.oneshot(due_in(millis(500))));
    tokio_test::assert_pending!(waiting.poll());
    tokio::time::sleep(millis(501)).await;
    let rejected = tokio_test::assert_ready!(waiting.poll()).unwrap_err();
    assert!(rejected.rejection().unwrap().is_too_long() && !was_sent(&rejected));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_inner_service_becomes_ready_after_its_deadline_is_rejected() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let service = RateLimitLayer::new(Quota::per_second(10))
        .max_queued(5)
        .layer(mock);
    let mut waiting = tokio_test::task::spawn(service.oneshot(due_in(millis(500))));
    tokio::time::sleep(millis(200)).await;
    tokio_test::assert_pending!(waiting.poll());
    tokio::time::sleep(millis(301)).await;
    handle.allow(1);
    assert!(
        tokio_test::assert_ready!(waiting.poll())
            .unwrap_err()
            .rejection()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn the_error_of_an_expired_deadline_proves_that_nothing_was_sent() {
    let start = now();
    let service = DeadlineLayer::new(Duration::from_secs(1)).layer(Server::ok());
    let late = service
        .clone()
        .oneshot(due_in(Duration::ZERO))
        .await
        .unwrap_err();
    assert!(late.is_elapsed() && !was_sent(&late));
    assert_eq!(
        late.to_string(),
        "the deadline had passed before the call, nothing was sent"
    );
    let retry = RetryLayer::new(RetryPolicy::default())
        .seed(1)
        .layer(service);
    assert!(
        retry
            .oneshot(due_in(Duration::ZERO))
            .await
            .unwrap_err()
            .is_elapsed()
    );
    assert_eq!(now(), start, "it is not retried");
}
