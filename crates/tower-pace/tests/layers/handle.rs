//! The handle of a rate limit, and the `Waited` extension of a response.

use std::time::Duration;

use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_pace::rate::{HeldBy, StatedLimit, StatedUnit};
use tower_pace::{Cost, Quota, RateLimitLayer, Waited};

use crate::support::{Server, get, millis, now, status, status_with_retry_after};

fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(100))
}

fn interval() -> Duration {
    Quota::per_second(100).spacing()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_the_queued_and_the_in_flight_requests() {
    let layer = layer();
    let handle = layer.handle();
    let service = layer.layer(Server::new(millis(500), |_| status(200)));
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tokio::time::sleep(interval() * 4 + millis(2)).await;
    let seen = handle.snapshot();
    assert_eq!((seen.queued, seen.in_flight, seen.counted), (6, 4, 4));
    assert_eq!((seen.held_by, seen.gate), (HeldBy::Pace, None));
    assert!(seen.held_for.is_some_and(|time| time <= interval()));
    assert_eq!((seen.interval, seen.counters.departed), (interval(), 4));
    tasks.join_all().await;
    let seen = handle.snapshot();
    assert_eq!((seen.queued, seen.in_flight, seen.counted), (0, 0, 10));
    assert_eq!(
        (seen.held_by, seen.counters.answered),
        (HeldBy::Nothing, 10)
    );
    assert_eq!(seen.held_for, None);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_the_reason_for_the_wait() {
    let layer = RateLimitLayer::new(Quota::per_second(2).counted_until_answered());
    let handle = layer.handle();
    let silent = layer.layer(Server::new(Duration::from_secs(60), |_| status(200)));
    let _unanswered: Vec<_> = (0..2)
        .map(|_| tokio::spawn(silent.clone().oneshot(get())))
        .collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let seen = handle.snapshot();
    assert_eq!((seen.held_by, seen.held_for), (HeldBy::Window, None));
    handle.pause();
    assert_eq!(handle.snapshot().held_by, HeldBy::Pause);

    let layer = self::layer();
    let silent = layer.layer(Server::new(Duration::from_secs(60), |_| status(200)));
    let _unanswered: Vec<_> = (0..100)
        .map(|_| tokio::spawn(silent.clone().oneshot(get())))
        .collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let seen = layer.handle().snapshot();
    assert_eq!(seen.held_by, HeldBy::Cap);
    assert!(
        seen.held_for
            .is_some_and(|time| time <= Duration::from_secs(1))
    );

    let layer = self::layer();
    let throttling = layer.layer(Server::new(millis(0), |_| status_with_retry_after(429, 5)));
    throttling.oneshot(get()).await.unwrap();
    let seen = layer.handle().snapshot();
    assert_eq!((seen.held_by, seen.counters.throttled), (HeldBy::Gate, 1));
    assert_eq!(seen.gate, Some(Duration::from_secs(5)));
    assert!((seen.rate() - 0.8 / interval().as_secs_f64()).abs() < 0.01);
}

#[tokio::test(start_paused = true)]
async fn pause_holds_all_requests_and_resume_lets_them_depart() {
    let (layer, server) = (layer(), Server::ok());
    let handle = layer.handle();
    handle.pause();
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(layer.layer(server.clone()).oneshot(get()));
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((server.calls().len(), handle.snapshot().queued), (0, 5));
    let start = now();
    handle.resume();
    tasks.join_all().await;
    assert!(now() - start <= interval() * 5 + millis(1));
}

#[tokio::test(start_paused = true)]
async fn penalize_closes_the_gate_without_lowering_the_rate() {
    let (layer, server) = (layer(), Server::ok());
    let handle = layer.handle();
    let start = now();
    handle.penalize(Duration::from_secs(7));
    layer.layer(server.clone()).oneshot(get()).await.unwrap();
    assert!(server.calls()[0] - start >= Duration::from_secs(7));
    assert_eq!(handle.snapshot().interval, interval());
}

#[tokio::test(start_paused = true)]
async fn set_quota_applies_at_once_and_learn_only_slows() {
    let layer = layer();
    let handle = layer.handle();
    layer.layer(Server::ok()).oneshot(get()).await.unwrap();
    let of = |limit| Quota::per_second(limit);
    handle.learn(of(50));
    assert_eq!(handle.snapshot().quota, of(50));
    handle.learn(of(500));
    assert_eq!(handle.snapshot().quota, of(100));
    handle.set_quota(of(500));
    assert_eq!(handle.snapshot().quota, of(500));
    handle.learn(of(400));
    assert_eq!(handle.snapshot().quota, of(400));
}

#[tokio::test(start_paused = true)]
async fn the_response_of_a_request_that_waited_states_the_reason() {
    let layer = layer();
    let service = layer.layer(Server::ok());
    let first = tokio::spawn(service.clone().oneshot(get()));
    tokio::task::yield_now().await;
    let second = tokio::spawn(service.clone().oneshot(get()));
    let waited = |response: http::Response<String>| *response.extensions().get::<Waited>().unwrap();
    let first = waited(first.await.unwrap().unwrap());
    assert_eq!((first.paced, first.total()), (millis(12), millis(12)));
    let second = waited(second.await.unwrap().unwrap());
    assert_eq!((second.queued, second.total()), (millis(12), millis(23)));

    layer.handle().penalize(Duration::from_secs(3));
    let gated = waited(service.clone().oneshot(get()).await.unwrap());
    assert_eq!(
        (gated.gated, gated.total()),
        (Duration::from_secs(3), Duration::from_secs(3))
    );
    tokio::time::sleep(interval() + millis(1)).await;
    let prompt = service.oneshot(get()).await.unwrap();
    assert!(prompt.extensions().is_empty(), "it did not wait");
    tokio::time::sleep(interval() + millis(1)).await;
    let explained = layer.explain().layer(Server::ok()).oneshot(get());
    assert_eq!(waited(explained.await.unwrap()), Waited::default());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_answers_is_shown_apart() {
    let layer = RateLimitLayer::new(Quota::per_second(1).counted_until_answered());
    let service = layer.layer(Server::new(Duration::from_secs(10), |_| status(200)));
    let first = tokio::spawn(service.clone().oneshot(get()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = service.oneshot(get()).await.unwrap();
    first.await.unwrap().unwrap();
    let waited = second.extensions().get::<Waited>().unwrap();
    assert!(waited.acknowledged >= Duration::from_secs(5), "{waited:?}");
    assert_eq!(waited.acknowledged, waited.total());
}

#[tokio::test(start_paused = true)]
async fn a_cost_above_the_limit_is_rejected_by_a_bounded_limit() {
    let heavy = || {
        let mut request = get();
        request.extensions_mut().insert(Cost::of(101));
        request
    };
    let bounded = layer().max_queued(10).layer(Server::ok());
    let error = bounded.oneshot(heavy()).await.unwrap_err();
    assert!(error.rejection().unwrap().is_too_heavy());
    assert_eq!(
        error.rejection().unwrap().to_string(),
        "its cost is above the limit"
    );
    layer().layer(Server::ok()).oneshot(heavy()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_uses_up_its_cost() {
    let (layer, server) = (layer(), Server::ok());
    let service = layer.layer(server.clone());
    for _ in 0..3 {
        let mut request = get();
        request.extensions_mut().insert(Cost::of(10));
        service.clone().oneshot(request).await.unwrap();
    }
    let calls = server.calls();
    assert!(
        calls[2] - calls[1] >= millis(100),
        "{:?}",
        calls[2] - calls[1]
    );
    assert_eq!(layer.handle().snapshot().counted, 30);
}

#[tokio::test(start_paused = true)]
async fn a_handle_shows_the_limits_that_the_server_stated_last() {
    let script = |n| {
        let (code, remaining) = [
            (200, "90"),
            (502, "10"),
            (429, "20"),
            (200, "-"),
            (200, "80"),
        ][n];
        let mut response = status(code);
        let fields = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", "60s"),
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-remaining-tokens", remaining),
            ("x-ratelimit-reset-tokens", "30s"),
        ];
        for (name, value) in fields {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        if code == 429 {
            response.headers_mut().insert("retry-after", 1.into());
        }
        response
    };
    let layer = layer();
    let service = layer.layer(Server::new(Duration::ZERO, script));
    assert_eq!(layer.handle().stated_limits(), []);
    let stated = |remaining, age| {
        let limit = |unit, limit, reset| StatedLimit {
            limit: Some(limit),
            remaining,
            reset: Duration::from_secs(reset).saturating_sub(age),
            unit: Some(unit),
        };
        [
            limit(StatedUnit::Requests, 100, 60),
            limit(StatedUnit::Cost, 1_000, 30),
        ]
    };

    service.clone().oneshot(get()).await.unwrap();
    assert_eq!(layer.handle().stated_limits(), stated(90, Duration::ZERO));
    let start = now();
    for status in [502, 429, 200] {
        let response = service.clone().oneshot(get()).await.unwrap();
        assert_eq!(response.status(), status);
        let seen = layer.handle().stated_limits();
        assert_eq!(seen, stated(90, now() - start), "{status} states nothing");
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(layer.handle().stated_limits()[1].reset, Duration::ZERO);

    service.oneshot(get()).await.unwrap();
    assert_eq!(layer.handle().stated_limits(), stated(80, Duration::ZERO));
}
