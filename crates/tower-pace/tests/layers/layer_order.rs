//! The recommended order of the layers, and what each wrong one does.

use std::time::Duration;

use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::server::{Server, get, millis, now, status};

const CALLERS: usize = 50;

/// A server that answers nothing for three seconds, and then everything at once.
fn stalling() -> Server {
    Server::answering_from(now() + Duration::from_secs(3))
}

fn most_within_a_second(server: &Server) -> usize {
    let calls = server.calls();
    calls
        .iter()
        .map(|first| {
            calls
                .iter()
                .filter(|call| **call >= *first && **call - *first < Duration::from_secs(1))
                .count()
        })
        .max()
        .unwrap_or(0)
}

macro_rules! send_all {
    ($stack:expr) => {{
        let stack = $stack;
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            let stack = stack.clone();
            tasks.spawn(async move { drop(stack.oneshot(get()).await.unwrap()) });
        }
        tokio::time::timeout(Duration::from_secs(3_600), tasks.join_all())
            .await
            .unwrap();
    }};
}

fn rate() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(10))
}

fn retry() -> RetryLayer {
    RetryLayer::new(RetryPolicy::default()).seed(1)
}

fn closest_departures(server: &Server) -> Duration {
    let calls = server.calls();
    calls
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .min()
        .unwrap()
}

/// Departures that are taken before a permit is waited for are spent late, in a lump, when permits
/// come free in bulk.
#[tokio::test(start_paused = true)]
async fn permits_freed_in_bulk_make_no_burst_at_the_wire() {
    let quota = Quota::per_second(100);
    let server = stalling();
    send_all!(RateLimitLayer::new(quota).layer(ConcurrencyLayer::new(10).layer(server.clone())));
    assert!(closest_departures(&server) >= quota.spacing() - millis(2));

    let naive = stalling();
    let bound = ConcurrencyLayer::new(10).layer(naive.clone());
    let departure_first = service_fn(move |request| bound.clone().oneshot(request));
    send_all!(RateLimitLayer::new(quota).layer(departure_first));
    assert!(
        closest_departures(&naive) < millis(2),
        "the test would notice"
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_pays_the_limiter_in_the_recommended_order() {
    let server = Server::new(millis(5), |n| status(if n % 2 == 0 { 503 } else { 200 }));
    send_all!(retry().layer(rate().layer(ConcurrencyLayer::new(20).layer(server.clone()))));
    assert!(server.calls().len() > CALLERS);
    assert!(most_within_a_second(&server) <= 10);
}

#[tokio::test(start_paused = true)]
async fn retries_under_the_limiter_are_not_seen_by_it() {
    let server = Server::new(millis(5), |n| status(if n % 4 == 3 { 200 } else { 503 }));
    send_all!(rate().layer(retry().layer(ConcurrencyLayer::new(20).layer(server.clone()))));
    assert!(
        most_within_a_second(&server) > 10,
        "documented: the limiter cannot see what is below it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_concurrency_above_the_rate_holds_permits_while_waiting_but_keeps_the_limit() {
    let server = stalling();
    send_all!(retry().layer(ConcurrencyLayer::new(20).layer(rate().layer(server.clone()))));
    assert_eq!(server.calls().len(), CALLERS);
    assert!(most_within_a_second(&server) <= 10);
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_concurrency_above_the_retry_holds_its_permit_through_the_backoff() {
    let server = Server::new(millis(5), |n| status(if n == 0 { 503 } else { 200 }));
    let stack = ConcurrencyLayer::new(1).layer(retry().layer(rate().layer(server.clone())));
    let start = now();
    let failing = tokio::spawn(stack.clone().oneshot(get()));
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(stack.oneshot(get()));
    failing.await.unwrap().unwrap();
    let retried = now() - start;
    waiting.await.unwrap().unwrap();
    assert_eq!(server.calls().len(), 3);
    assert!(server.calls()[2] >= start + retried);
}
