//! Reports of a retry: to the caller, to an observer and to the server.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_pace::retry::{GaveUp, NotRetried, ReplayBody, RetryBudget, Retrying};
use tower_pace::{Deadline, Replay, Retried, RetryLayer, RetryPolicy};
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

/// Returns the reason that the response holds, and checks that an observer saw the same.
async fn reason(
    policy: RetryPolicy,
    deadline: Option<Duration>,
    request: Request<String>,
    failure: fn() -> Response<String>,
) -> Option<(GaveUp, u32)> {
    let seen = Arc::new(Mutex::new(None));
    let log = Arc::clone(&seen);
    let layer = RetryLayer::new(policy).seed(1);
    let layer = layer.on_give_up(move |end| *log.lock().unwrap() = Some(*end));
    let mut request = request;
    if let Some(within) = deadline {
        request.extensions_mut().insert(Deadline::within(within));
    }
    let server = Server::new(millis(0), move |_| failure());
    let response = layer.layer(server).oneshot(request).await.unwrap();
    let end = response.extensions().get::<NotRetried>().copied();
    assert_eq!(end, *seen.lock().unwrap());
    assert!(end.is_none_or(|end| end.status() == Some(response.status())));
    end.map(|end| (end.reason(), end.attempts()))
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_says_why_it_was_not_retried() {
    let policy = RetryPolicy::default();
    let unavailable = || status(503);
    let second = Duration::from_secs(1);
    let gave_up = reason(policy, None, get(), unavailable).await;
    assert_eq!(gave_up, Some((GaveUp::Attempts, 4)));
    let gave_up = reason(policy.attempts(1).throttled(0), None, get(), unavailable).await;
    assert_eq!(gave_up, Some((GaveUp::Attempts, 1)));
    let gave_up = reason(policy, None, post(), unavailable).await;
    assert_eq!(gave_up, Some((GaveUp::NotReplayable, 1)));
    let frugal = policy.budget(RetryBudget::new(0, 1));
    let gave_up = reason(frugal, None, get(), unavailable).await;
    assert_eq!(gave_up, Some((GaveUp::Budget, 1)));
    let late = || status_with_retry_after(503, 30);
    let gave_up = reason(policy, Some(second), get(), late).await;
    assert_eq!(gave_up, Some((GaveUp::Deadline, 1)));
    let long = || status_with_retry_after(429, 301);
    let gave_up = reason(policy, None, get(), long).await;
    assert_eq!(gave_up, Some((GaveUp::RetryAfter, 1)));
    let impatient = policy.max_total_backoff(second);
    let gave_up = reason(impatient, None, get(), late).await;
    assert_eq!(gave_up, Some((GaveUp::TotalBackoff, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_no_retry_would_change_says_nothing() {
    for code in [200, 400, 404, 409, 422, 501] {
        let policy = RetryPolicy::default();
        let failure = match code {
            200 => || status(200),
            400 => || status(400),
            404 => || status(404),
            409 => || status(409),
            422 => || status(422),
            _ => || status(501),
        };
        assert_eq!(reason(policy, None, get(), failure).await, None, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_why_an_error_and_a_long_body_were_not_retried() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observed =
        layer().on_give_up(move |end| log.lock().unwrap().push((end.reason(), end.status())));
    let broken = service_fn(|_: Request<String>| async {
        Err::<Response<String>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    observed.layer(broken).oneshot(post()).await.unwrap_err();
    let server = service_fn(|request: Request<ReplayBody<String>>| async {
        request.into_body().collect().await.unwrap();
        Ok::<_, Infallible>(status(503))
    });
    let put = Request::put("/").body("x".repeat(100)).unwrap();
    let buffered = observed.buffered(10).layer(server);
    buffered.oneshot(put).await.unwrap();
    let seen = seen.lock().unwrap();
    let unavailable = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        *seen,
        [
            (GaveUp::NotReplayable, None),
            (GaveUp::BodyTooLong, unavailable)
        ]
    );
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
