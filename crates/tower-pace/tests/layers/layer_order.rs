//! The recommended order of the layers, and the effect of each other order.

use std::time::Duration;

use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::support::{Server, get, millis, now, status};

const CALLERS: usize = 50;

/// Returns a server that sends no answer for three seconds, then all at once.
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

/// A departure that is acquired before the wait for a permit is used late: the requests would
/// depart together when many permits are released at once.
#[tokio::test(start_paused = true)]
async fn permits_that_are_released_together_cause_no_burst() {
    let quota = Quota::per_second(100);
    let server = stalling();
    send_all!(RateLimitLayer::new(quota).layer(ConcurrencyLayer::new(10).layer(server.clone())));
    assert!(closest_departures(&server) >= quota.spacing() - millis(2));

    let opposite = stalling();
    let concurrency = ConcurrencyLayer::new(10).layer(opposite.clone());
    let departure_first = service_fn(move |request| concurrency.clone().oneshot(request));
    send_all!(RateLimitLayer::new(quota).layer(departure_first));
    assert!(
        closest_departures(&opposite) < millis(2),
        "the opposite order has the burst"
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_counts_for_the_limit_in_the_recommended_order() {
    let server = Server::new(millis(5), |n| status(if n % 2 == 0 { 503 } else { 200 }));
    send_all!(retry().layer(rate().layer(ConcurrencyLayer::new(20).layer(server.clone()))));
    assert!(server.calls().len() > CALLERS);
    assert!(most_within_a_second(&server) <= 10);
}

#[tokio::test(start_paused = true)]
async fn retries_below_the_rate_limit_do_not_count() {
    let server = Server::new(millis(5), |n| status(if n % 4 == 3 { 200 } else { 503 }));
    send_all!(rate().layer(retry().layer(ConcurrencyLayer::new(20).layer(server.clone()))));
    assert!(
        most_within_a_second(&server) > 10,
        "documented: a rate limit counts only the calls that it receives"
    );
}

/// The permits are held during the wait for a departure, and the rate limit still holds.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_below_a_concurrency_limit_holds() {
    let server = stalling();
    send_all!(retry().layer(ConcurrencyLayer::new(20).layer(rate().layer(server.clone()))));
    assert_eq!(server.calls().len(), CALLERS);
    assert!(most_within_a_second(&server) <= 10);
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_above_the_retry_holds_its_permit_during_the_backoff() {
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
