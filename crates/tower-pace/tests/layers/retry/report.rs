//! Reports of a retry: to the caller, to an observer and to the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use tower::{Layer, ServiceExt};
use tower_pace::retry::Retrying;
use tower_pace::{Replay, Retried, RetryLayer, RetryPolicy};
use tower_test::mock;

use crate::support::{Server, get, millis, now, post, status, status_with_retry_after};

fn layer() -> RetryLayer {
    RetryLayer::new(RetryPolicy::default()).seed(1)
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_retry_carries_retried() {
    let server = Server::new(millis(0), |n| status([503, 503, 200][n]));
    let start = now();
    let answer = layer().layer(server).oneshot(get()).await.unwrap();
    let retried = answer.extensions().get::<Retried>().unwrap();
    assert_eq!(retried.attempts(), 3);
    let elapsed = now() - start;
    assert!(retried.waited() <= elapsed && elapsed <= retried.waited() + millis(4));
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_the_first_attempt_carries_nothing() {
    let answer = layer().layer(Server::ok()).oneshot(get()).await.unwrap();
    assert!(answer.extensions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_every_retry_before_its_backoff() {
    let seen = Arc::new(Mutex::new(Vec::<Retrying>::new()));
    let log = Arc::clone(&seen);
    let observed = layer().on_retry(move |retrying| log.lock().unwrap().push(*retrying));
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 7),
        1 => status(502),
        _ => status(200),
    });
    observed.layer(server).oneshot(get()).await.unwrap();
    let seen = seen.lock().unwrap();
    let reported: Vec<_> = seen
        .iter()
        .map(|retrying| (retrying.attempt(), retrying.status().unwrap().as_u16()))
        .collect();
    assert_eq!(reported, [(2, 429), (3, 502)]);
    assert!(seen[0].wait() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_that_there_was_no_answer() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observed = layer().on_retry(move |retrying| log.lock().unwrap().push(retrying.status()));
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(2);
    let call = tokio::spawn(observed.layer(mock).oneshot(get()));
    handle.next_request().await.unwrap().1.send_error("reset");
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(status(200));
    assert!(call.await.unwrap().is_ok());
    assert_eq!(*seen.lock().unwrap(), [None]);
}

#[tokio::test(start_paused = true)]
async fn send_retry_count_sends_the_count_to_the_server() {
    for (layer, counts) in [
        (layer(), [None, None]),
        (layer().send_retry_count(), [None, Some("1")]),
    ] {
        let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
        handle.allow(2);
        let call = tokio::spawn(layer.layer(mock).oneshot(get()));
        for (count, answer) in counts.into_iter().zip([503, 200]) {
            let (request, reply) = handle.next_request().await.unwrap();
            let header = request.headers().get("x-retry-count");
            assert_eq!(header.map(|value| value.to_str().unwrap()), count);
            reply.send_response(status(answer));
        }
        assert!(call.await.unwrap().is_ok());
    }
}

fn answer(code: u16, fields: &[(&'static str, &'static str)]) -> Response<String> {
    let mut answer = status(code);
    for (name, value) in fields {
        answer.headers_mut().append(*name, value.parse().unwrap());
    }
    answer
}

/// Returns the time between the first answer and the second attempt, `None` if there is no second
/// attempt.
async fn wait_after(
    code: u16,
    fields: &'static [(&'static str, &'static str)],
) -> Option<Duration> {
    let server = Server::new(millis(0), move |n| match n {
        0 => answer(code, fields),
        _ => status(200),
    });
    let mut request = post();
    request.extensions_mut().insert(Replay);
    layer()
        .layer(server.clone())
        .oneshot(request)
        .await
        .unwrap();
    let calls = server.calls();
    calls.get(1).map(|second| *second - calls[0])
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_date_is_relative_to_the_answers_own_date() {
    let wait = wait_after(
        429,
        &[
            ("date", "Fri, 29 Sep 2023 16:26:37 GMT"),
            ("retry-after", "Fri, 29 Sep 2023 16:26:57 GMT"),
        ],
    );
    let wait = wait.await.unwrap();
    assert!(wait >= Duration::from_secs(20) && wait <= Duration::from_secs(21) + millis(1));
}

#[tokio::test(start_paused = true)]
async fn the_should_retry_field_overrules_the_status() {
    assert!(
        wait_after(503, &[("x-should-retry", "false")])
            .await
            .is_none()
    );
    assert!(
        wait_after(400, &[("x-should-retry", "true")])
            .await
            .is_some()
    );
    assert!(wait_after(400, &[]).await.is_none());
}

/// Another client's table of statuses, with two differences: it ignores the `Retry-After` of a 408
/// or a 503, which we obey, and it retries a 410 and a 460, which are final here.
#[tokio::test(start_paused = true)]
async fn statuses_are_retried_as_by_another_client() {
    for code in [408, 425, 429, 500, 502, 503, 504, 520, 524] {
        assert!(wait_after(code, &[]).await.is_some(), "{code}");
        let wait = wait_after(code, &[("retry-after", "9")]).await.unwrap();
        assert!(wait >= Duration::from_secs(9), "{code}");
    }
    for code in [400, 401, 403, 404, 409, 410, 413, 422, 460, 501, 505, 511] {
        assert!(wait_after(code, &[]).await.is_none(), "{code}");
    }
    assert!(wait_after(429, &[("retry-after", "301")]).await.is_none());
}
