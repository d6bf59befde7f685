//! The deadline of a call.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::retry::Backoff;
use tower_pace::{Deadline, DeadlineLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status, status_with_retry_after};

fn retry() -> RetryLayer {
    RetryLayer::new(RetryPolicy::default()).seed(1)
}

fn due_in(time: Duration) -> Request<String> {
    let mut request = get();
    request.extensions_mut().insert(Deadline::within(time));
    request
}

async fn never(_: Request<String>) -> Result<Response<String>, Infallible> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline() {
    let service = retry().deadline(millis(5_000)).layer(service_fn(never));
    let start = now();
    let error = service.oneshot(get()).await.unwrap_err();
    assert!(error.is_elapsed() && tower_pace::was_sent(&error));
    assert_eq!(now() - start, millis(5_000));
}

/// Uses up the cooperative budget of its task at each poll, as a busy connection does. Every timer
/// of tokio is then pending.
async fn busy(_: Request<String>) -> Result<Response<String>, Infallible> {
    loop {
        tokio::task::coop::consume_budget().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_keeps_its_task_busy_ends_at_its_deadline() {
    let service = DeadlineLayer::new(millis(5_000)).layer(service_fn(busy));
    let call = tokio::spawn(service.oneshot(get()));
    tokio::task::yield_now().await;
    tokio::time::advance(millis(4_999)).await;
    tokio::task::yield_now().await;
    assert!(!call.is_finished());
    tokio::time::advance(millis(1)).await;
    tokio::task::yield_now().await;
    assert!(call.is_finished());
    assert!(call.await.unwrap().unwrap_err().is_elapsed());
}

#[tokio::test(start_paused = true)]
async fn endless_attempts_without_a_backoff_yield_to_other_tasks() {
    let failing = service_fn(|_: Request<String>| ready(Ok::<_, Infallible>(status(503))));
    let policy = RetryPolicy::default()
        .attempts(u32::MAX)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .without_budget();
    let service = RetryLayer::new(policy).deadline(millis(10)).layer(failing);
    let call = tokio::spawn(service.oneshot(get()));
    tokio::task::yield_now().await;
    tokio::time::advance(millis(10)).await;
    assert_eq!(call.await.unwrap().unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_counts() {
    let service = retry().deadline(millis(5_000)).layer(service_fn(never));
    for (own, expected) in [(1_000, 1_000), (9_000, 5_000)] {
        let start = now();
        let call = service.clone().oneshot(due_in(millis(own)));
        assert!(call.await.unwrap_err().is_elapsed());
        assert_eq!(now() - start, millis(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_includes_the_wait_for_a_departure() {
    let limit = RateLimitLayer::new(Quota::new(2, Duration::from_secs(60)).unwrap());
    let service = DeadlineLayer::new(millis(50)).layer(limit.layer(Server::ok()));
    assert!(service.oneshot(get()).await.unwrap_err().is_elapsed());
}

/// A backoff that could not end in time does not begin: the last answer is returned at once.
#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_returns_the_answer_at_once() {
    let server = Server::new(millis(1), |_| status_with_retry_after(429, 7));
    let start = now();
    let plain = retry().layer(server.clone());
    let answer = plain.oneshot(due_in(millis(5_000))).await.unwrap();
    assert_eq!(answer.status(), 429);
    let bounded = retry().deadline(millis(5_000)).layer(server.clone());
    assert_eq!(bounded.oneshot(get()).await.unwrap().status(), 429);
    assert_eq!((now() - start, server.calls().len()), (millis(2), 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_within_the_deadline_is_waited_for() {
    let server = Server::new(millis(1), |n| match n {
        0 => status_with_retry_after(429, 7),
        _ => status(200),
    });
    let call = retry()
        .layer(server)
        .oneshot(due_in(Duration::from_secs(8)));
    assert_eq!(call.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_carries_the_deadline() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(10);
    let start = now();
    let bounded = retry().deadline(Duration::from_secs(30)).layer(mock);
    let call = tokio::spawn(bounded.oneshot(get()));
    for attempt in 0..4 {
        let (request, reply) = handle.next_request().await.unwrap();
        let deadline = request.extensions().get::<Deadline>().unwrap();
        let elapsed = now() - start;
        assert_eq!(
            deadline.remaining() + elapsed,
            Duration::from_secs(30),
            "attempt {attempt}"
        );
        reply.send_response(status(503));
    }
    assert_eq!(call.await.unwrap().unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_inner_error_is_unchanged() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    let call = tokio::spawn(DeadlineLayer::new(millis(10)).layer(mock).oneshot(get()));
    handle.next_request().await.unwrap().1.send_error("reset");
    let error = call.await.unwrap().unwrap_err();
    assert!(!error.is_elapsed());
    assert_eq!(error.into_inner().unwrap().to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_overflows_the_clock_is_no_deadline() {
    let bounded = retry().deadline(Duration::MAX).layer(Server::ok());
    assert_eq!(bounded.oneshot(get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_at_its_deadline_drops_the_inner_call() {
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let never = service_fn(move |_: Request<String>| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<Result<Response<String>, Infallible>>().await
        }
    });
    let mut service = DeadlineLayer::new(millis(10)).layer(never);
    let mut call = task::spawn(service.call(get()));
    drop(service);
    assert_pending!(call.poll());
    tokio::time::sleep(millis(10)).await;
    assert_ready!(call.poll()).unwrap_err();
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn an_answer_without_a_wait_needs_no_timer() {
    let ready = service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut bounded = retry().deadline(millis(10)).layer(ready);
    let mut call = task::spawn(bounded.call(get()));
    assert!(call.poll().is_ready());
}
