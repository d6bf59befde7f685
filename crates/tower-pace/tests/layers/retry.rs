//! The retry: which requests it sends again, how often and when.

mod budget;
mod cancellation;
mod deadline;
mod drain;
mod idempotency;
mod replay;
mod report;

use std::io;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use tower::{Layer, ServiceExt, service_fn};
use tower_pace::{
    ConcurrencyLayer, DeadlineLayer, Quota, RateLimitLayer, Replay, Retry, RetryLayer, RetryPolicy,
};
use tower_test::mock;

use crate::support::{Server, get, millis, now, post, status, status_with_retry_after};

fn layered<S>(inner: S) -> Retry<S> {
    RetryLayer::new(RetryPolicy::default()).seed(1).layer(inner)
}

async fn check(request: Request<String>, failure: u16, attempts: usize) {
    let server = Server::new(millis(1), move |_| status(failure));
    let response = layered(server.clone()).oneshot(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), server.calls().len()),
        (failure, attempts)
    );
}

fn post_with_replay() -> Request<String> {
    let mut request = post();
    request.extensions_mut().insert(Replay);
    request
}

#[tokio::test(start_paused = true)]
async fn a_replayable_request_has_four_attempts() {
    check(get(), 503, 4).await;
    check(get(), 408, 4).await;
    check(get(), 524, 4).await;
    check(post_with_replay(), 500, 4).await;
}

/// The retry waits at least as long, and the rate limit closes its gate for as long. Both have a
/// bound: the retry returns the answer at once above five minutes, the gate closes for an hour at
/// most.
#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_within_bounds() {
    for (value, seconds, attempts) in [
        ("2.5", 3, 2),
        ("299.997", 300, 2),
        ("2, 5", 5, 2),
        ("Fri, 29 Sep 2023 16:26:57 UTC", 20, 2),
        ("2023-09-29T16:26:56.2Z", 20, 2),
        ("1696004817", 20, 2),
        ("1696004817000", 20, 2),
        ("300.5", 301, 1),
        ("1696005817", 1_020, 1),
        ("99999999999999999999.5", 3_600, 1),
        ("2023-09-29T16:26:57-23:59", 3_600, 1),
    ] {
        let server = Server::new(millis(0), move |n| {
            let mut answer = status(if n == 0 { 429 } else { 200 });
            let date = HeaderValue::from_static("Fri, 29 Sep 2023 16:26:37 GMT");
            answer.headers_mut().insert("date", date);
            answer
                .headers_mut()
                .insert("retry-after", HeaderValue::from_static(value));
            answer
        });
        let limit = RateLimitLayer::new(Quota::per_second(100));
        let service = layered(limit.layer(server.clone()));
        service.clone().oneshot(get()).await.unwrap();
        assert_eq!(server.calls().len(), attempts, "{value:?}");
        service.oneshot(get()).await.unwrap();
        let calls = server.calls();
        let (wait, stated) = (calls[1] - calls[0], Duration::from_secs(seconds));
        assert!(
            (stated..=stated + stated / 10 + millis(100)).contains(&wait),
            "{value:?}: {wait:?}"
        );
    }
}

/// RFC 9110, section 9.2.2, and RFC 10008.
#[tokio::test(start_paused = true)]
async fn idempotent_methods_are_retried_and_no_others() {
    for (method, attempts) in [
        (Method::GET, 4),
        (Method::HEAD, 4),
        (Method::PUT, 4),
        (Method::DELETE, 4),
        (Method::OPTIONS, 4),
        (Method::TRACE, 4),
        (Method::QUERY, 4),
        (Method::POST, 1),
        (Method::PATCH, 1),
        (Method::CONNECT, 1),
    ] {
        let request = Request::builder().method(method).uri("/");
        check(request.body(String::new()).unwrap(), 503, attempts).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_without_replay_is_sent_once() {
    check(post(), 503, 1).await;
    check(post(), 500, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_post_is_retried_since_it_was_not_processed() {
    check(post(), 429, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_a_retry_cannot_change_is_returned() {
    for status in [200, 301, 400, 401, 403, 404, 409, 413, 501, 505] {
        check(get(), status, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_that_of_the_last_attempt() {
    let server = Server::new(millis(1), |n| status([503, 502, 201][n]));
    let response = layered(server).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_never_undercut() {
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 7),
        1 => status_with_retry_after(503, 3),
        _ => status(200),
    });
    layered(server.clone()).oneshot(get()).await.unwrap();
    let calls = server.calls();
    let (throttled, failed) = (calls[1] - calls[0], calls[2] - calls[1]);
    assert!(
        throttled >= millis(7_000) && throttled <= millis(7_701),
        "{throttled:?}"
    );
    assert!(
        failed >= millis(3_000) && failed <= millis(3_301),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_429_is_retried_twenty_times() {
    let server = Server::new(millis(0), |_| status_with_retry_after(429, 1));
    let response = layered(server.clone()).oneshot(get()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), server.calls().len()),
        (429, 21)
    );
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_is_returned_and_not_waited_for() {
    let server = Server::new(millis(0), |_| status_with_retry_after(429, u32::MAX));
    let start = now();
    let response = layered(server.clone()).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(now(), start);
}

#[tokio::test(start_paused = true)]
async fn later_attempts_carry_their_number() {
    let (mock, mut handle) = mock::pair::<Request<String>, http::Response<String>>();
    handle.allow(10);
    let call = tokio::spawn(layered(mock).oneshot(post_with_replay()));
    for expected in [None, Some(2), Some(3)] {
        let (request, reply) = handle.next_request().await.unwrap();
        let attempt = request.extensions().get::<tower_pace::Attempt>();
        assert_eq!(attempt.map(|attempt| attempt.0), expected);
        assert_eq!(request.body(), "once");
        reply.send_response(status(if expected == Some(3) { 200 } else { 503 }));
    }
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_retried_only_if_a_replay_is_safe() {
    for (request, attempts) in [(get(), 4), (post_with_replay(), 4), (post(), 1)] {
        let (mock, mut handle) = mock::pair::<Request<String>, http::Response<String>>();
        handle.allow(10);
        let call = tokio::spawn(layered(mock).oneshot(request));
        for _ in 0..attempts {
            handle
                .next_request()
                .await
                .unwrap()
                .1
                .send_error("connection reset");
        }
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "connection reset");
    }
}

/// The service is closed after an attempt that failed: the attempt's own error is more useful.
#[tokio::test(start_paused = true)]
async fn an_error_of_poll_ready_ends_the_attempts_with_the_last_error() {
    let (mock, mut handle) = mock::pair::<Request<String>, http::Response<String>>();
    handle.allow(1);
    let call = tokio::spawn(layered(mock).oneshot(get()));
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_error("connection reset");
    handle.send_error("service is closed");
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_503_and_a_retry_with_one_permit_do_not_deadlock() {
    let server = Server::new(millis(1), |n| match n {
        0 => http::Response::builder()
            .status(503)
            .body(String::from("a body that is never read"))
            .unwrap(),
        _ => status(200),
    });
    let stack = RetryLayer::new(RetryPolicy::default()).layer(
        RateLimitLayer::new(Quota::per_second(100))
            .layer(ConcurrencyLayer::new(1).layer(server.clone())),
    );
    let call = tokio::time::timeout(Duration::from_secs(5), stack.oneshot(get()));
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
    assert_eq!(server.calls().len(), 2);
}

/// The whole stack with every bound: the retry recognizes a rejection below all layers.
#[tokio::test(start_paused = true)]
async fn a_rejected_wait_is_not_retried_below_other_layers() {
    async fn failing(_: Request<String>) -> Result<http::Response<String>, io::Error> {
        Err(io::Error::other("reset"))
    }
    let attempt = DeadlineLayer::new(millis(100)).layer(service_fn(failing));
    let concurrency = ConcurrencyLayer::new(1).fail_fast().layer(attempt);
    let limit = RateLimitLayer::new(Quota::per_second(1)).fail_fast();
    limit.handle().pause();
    let retry = RetryLayer::new(RetryPolicy::default())
        .on_retry(|retrying| panic!("{retrying:?}"))
        .layer(limit.layer(concurrency));
    let error = retry.oneshot(get()).await.unwrap_err();
    assert!(error.rejection().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_429_with_a_retry_after_of_zero_still_has_a_backoff() {
    let server = Server::new(millis(0), |_| status_with_retry_after(429, 0));
    layered(server.clone()).oneshot(get()).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls.len(), 4);
    assert!(calls.windows(2).all(|pair| pair[1] > pair[0]));
}
