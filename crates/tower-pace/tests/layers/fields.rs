//! What the server says of its limit in header fields slows us down, and never speeds us up.

use std::time::Duration;

use http::Response;
use tower::{Layer, ServiceExt};
use tower_pace::{Quota, RateLimitLayer};

use crate::server::{Server, get, millis, now, status};

fn says(fields: &'static [(&str, &str)]) -> Response<String> {
    let mut response = status(200);
    for (name, value) in fields {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn saying(fields: &'static [(&str, &str)]) -> Server {
    Server::new(millis(1), move |_| says(fields))
}

async fn quota_after(fields: &'static [(&str, &str)]) -> Quota {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    layer.layer(saying(fields)).oneshot(get()).await.unwrap();
    layer.handle().snapshot().quota
}

#[tokio::test(start_paused = true)]
async fn a_slower_policy_is_held_and_a_faster_one_is_not() {
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
async fn what_others_left_is_not_exceeded_before_the_reset() {
    let server = Server::new(millis(1), |n| match n {
        0 => says(&[("ratelimit", "limit=100, remaining=3, reset=10")]),
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
async fn what_our_own_requests_explain_does_not_slow_us() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let server = saying(&[
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
    let server = saying(&[("ratelimit", "\"a\";r=0;t=99999999999")]);
    layer.layer(server).oneshot(get()).await.unwrap();
    let gate = layer.handle().snapshot().gate;
    assert_eq!(gate, Some(Duration::from_secs(3_600)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stated_any_more_holds_for_another_minute() {
    let server = Server::new(millis(1), |n| match n {
        0 => says(&[("ratelimit-policy", "\"a\";q=50;w=1")]),
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
