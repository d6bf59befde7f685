//! The limits that a server states in header fields: they slow the limiter down, and never speed it
//! up.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_pace::{Quota, RateLimitLayer};

use crate::support::{Server, get, millis, now, status};

fn response_with(fields: &'static [(&str, &str)]) -> Response<String> {
    let mut response = status(200);
    for (name, value) in fields {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn server_with(fields: &'static [(&str, &str)]) -> Server {
    Server::new(millis(1), move |_| response_with(fields))
}

async fn quota_after(fields: &'static [(&str, &str)]) -> Quota {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    layer
        .layer(server_with(fields))
        .oneshot(get())
        .await
        .unwrap();
    layer.handle().snapshot().quota
}

#[tokio::test(start_paused = true)]
async fn a_slower_policy_applies_and_a_faster_one_does_not() {
    let configured = Quota::per_second(100);
    assert_eq!(
        quota_after(&[("ratelimit-policy", "\"a\";q=50;w=1")])
            .await
            .limit(),
        50
    );
    for policy in ["\"a\";q=1000;w=1", "\"a\";q=1;w=60", "\"a\";q=0;w=1", "\"a"] {
        let fields: &'static [(&str, &str)] = Box::leak(Box::new([("ratelimit-policy", policy)]));
        assert_eq!(quota_after(fields).await, configured, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_stated_remainder_is_not_exceeded_before_the_reset() {
    let server = Server::new(millis(1), |n| match n {
        0 => response_with(&[("ratelimit", "limit=100, remaining=3, reset=10")]),
        _ => status(200),
    });
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let service = layer.layer(server.clone());
    service.clone().oneshot(get()).await.unwrap();
    let start = now();
    for _ in 0..4 {
        service.clone().oneshot(get()).await.unwrap();
    }
    let calls = server.calls();
    assert!(calls[3] - start < millis(100));
    assert!(calls[4] - start >= Duration::from_secs(10) - millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_remainder_that_our_own_requests_explain_does_not_slow_the_limiter() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let server = server_with(&[
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "95"),
        ("x-ratelimit-reset", "60"),
    ]);
    let service = layer.layer(server.clone());
    let start = now();
    for _ in 0..200 {
        service.clone().oneshot(get()).await.unwrap();
    }
    assert!(now() - start <= Quota::per_second(100).spacing() * 201 + millis(1));
}

#[tokio::test(start_paused = true)]
async fn an_absurd_reset_is_bounded() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let server = server_with(&[("ratelimit", "\"a\";r=0;t=99999999999")]);
    layer.layer(server).oneshot(get()).await.unwrap();
    let gate = layer.handle().snapshot().gate;
    assert_eq!(gate, Some(Duration::from_secs(3_600)));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_no_longer_stated_holds_for_another_minute() {
    let server = Server::new(millis(1), |n| match n {
        0 => response_with(&[("ratelimit-policy", "\"a\";q=50;w=1")]),
        _ => status(200),
    });
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let service = layer.layer(server);
    service.clone().oneshot(get()).await.unwrap();
    for (seconds, limit) in [(1, 50), (58, 50), (2, 100)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        service.clone().oneshot(get()).await.unwrap();
        assert_eq!(layer.handle().snapshot().quota.limit(), limit);
    }
}

/// Sends five requests at once. The n-th is answered after the n-th time with the n-th fields, and
/// the last entry holds for all later ones. Returns the departures.
async fn departures(
    quota: Quota,
    answers: [(u64, &'static [(&'static str, &'static str)]); 3],
) -> Vec<Duration> {
    let server = Server::new(Duration::ZERO, |_| status(200));
    let start = now();
    let calls = server.clone();
    let answering = service_fn(move |request: Request<String>| {
        let server = server.clone();
        async move {
            let n = server.calls().len();
            server.oneshot(request).await?;
            let (millis, fields) = answers[n.min(2)];
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok::<_, Infallible>(response_with(fields))
        }
    });
    let service = RateLimitLayer::new(quota).layer(answering);
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(service.clone().oneshot(get()));
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    calls.calls().iter().map(|&call| call - start).collect()
}

/// The waiters have timers by the slow limit when the answer to the second request ends it.
#[tokio::test(start_paused = true)]
async fn waiters_are_woken_when_a_slower_limit_no_longer_holds() {
    let quota = Quota::new(60, Duration::from_secs(60)).unwrap();
    let slow: &[_] = &[("ratelimit-policy", "\"a\";q=4;w=60")];
    let departures = departures(quota, [(1, slow), (45_000, &[]), (600_000, &[])]).await;
    assert!(departures[3] > Duration::from_secs(60), "{departures:?}");
    assert!(departures[4] < Duration::from_secs(68), "{departures:?}");
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_when_a_new_window_has_begun() {
    let none_left: &[_] = &[("ratelimit", "limit=100, remaining=0, reset=30")];
    let half_left: &[_] = &[("ratelimit", "limit=100, remaining=50, reset=40")];
    let answers = [(15, none_left), (1_000, half_left), (1, &[] as &[_])];
    let departures = departures(Quota::per_second(100), answers).await;
    assert!(
        departures[1] < millis(30) && departures[4] < millis(1_200),
        "{departures:?}"
    );
}
