//! Defects of other limiters, which ours must not have. Where the peer is a dependency of the
//! tests, its defect is shown too.

use std::task::{Context, Waker};
use std::time::Duration;

use http::Request;
use tokio::time::timeout;
use tokio_test::{assert_pending, task};
use tower::limit::{ConcurrencyLimit, RateLimit, rate::Rate};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer};

use crate::support::{Server, get, millis, now, status};

/// Returns true if `service` becomes ready within an hour.
async fn becomes_ready<S: Service<Request<String>>>(service: &mut S) -> bool {
    let ready = ServiceExt::<Request<String>>::ready(service);
    timeout(Duration::from_secs(3_600), ready).await.is_ok()
}

fn park<S: Service<Request<String>>>(service: &mut S) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending());
}

/// tower's `ConcurrencyLimit` hands the permit to a clone that was polled once and is not polled
/// again.
#[tokio::test(start_paused = true)]
async fn a_parked_clone_keeps_no_permit_from_the_others() {
    async fn others_continue<S: Service<Request<String>> + Clone>(service: S) -> bool {
        let (mut holder, mut parked, mut other) = (service.clone(), service.clone(), service);
        assert!(becomes_ready(&mut holder).await);
        park(&mut parked);
        drop(holder);
        becomes_ready(&mut other).await
    }
    assert!(others_continue(ConcurrencyLayer::new(1).layer(Server::ok())).await);
    assert!(!others_continue(ConcurrencyLimit::new(Server::ok(), 1)).await);
}

/// tower's `RateLimit` of 10/s lets 19 calls depart within 20 ms at the boundary of two windows.
#[tokio::test(start_paused = true)]
async fn the_boundary_of_two_windows_allows_no_burst() {
    async fn most_within_20_ms<S>(mut service: S, server: &Server) -> usize
    where
        S: Service<Request<String>>,
        S::Error: std::fmt::Debug,
    {
        service.ready().await.unwrap().call(get()).await.unwrap();
        tokio::time::sleep(millis(985)).await;
        for _ in 0..29 {
            service.ready().await.unwrap().call(get()).await.unwrap();
        }
        let calls = server.calls();
        let within = |first| {
            calls
                .iter()
                .filter(move |call| **call >= first && **call - first <= millis(20))
        };
        calls
            .iter()
            .map(|first| within(*first).count())
            .max()
            .unwrap()
    }
    let (ours, theirs) = (Server::ok(), Server::ok());
    let layer = RateLimitLayer::new(Quota::per_second(10));
    assert_eq!(most_within_20_ms(layer.layer(ours.clone()), &ours).await, 1);
    let tower = RateLimit::new(theirs.clone(), Rate::new(10, Duration::from_secs(1)));
    assert_eq!(most_within_20_ms(tower, &theirs).await, 19);
}

/// In leaky-bucket, the first waiter does the work of all. If it is not polled, it stops all
/// others.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_not_polled_stops_no_other() {
    let mut service = RateLimitLayer::new(Quota::per_second(100)).layer(Server::ok());
    let mut parked = task::spawn(service.call(get()));
    assert_pending!(parked.poll());
    let start = now();
    service.oneshot(get()).await.unwrap();
    assert!(now() - start <= millis(12 + 12 + 5));
}

/// tower-resilience's limiter acquires a token for readiness, and loses it with a ready clone that
/// is dropped.
#[tokio::test(start_paused = true)]
async fn a_dropped_ready_clone_uses_up_no_departure() {
    let service =
        RateLimitLayer::new(Quota::new(1, Duration::from_secs(100)).unwrap()).layer(Server::ok());
    for _ in 0..10 {
        assert!(becomes_ready(&mut service.clone()).await);
    }
    let start = now();
    service.oneshot(get()).await.unwrap();
    assert!(now() - start <= millis(101));
}

/// tower-resilience's limiter holds the permit of an inner limit while it waits for a token, so
/// other callers of the inner limit starve.
#[tokio::test(start_paused = true)]
async fn no_permit_is_held_during_the_wait_for_a_departure() {
    let inner = ConcurrencyLimit::new(Server::new(millis(1), |_| status(200)), 1);
    let limited =
        RateLimitLayer::new(Quota::new(1, Duration::from_secs(50)).unwrap()).layer(inner.clone());
    limited.clone().oneshot(get()).await.unwrap();
    let _waiting = tokio::spawn(limited.oneshot(get()));
    tokio::time::sleep(millis(10)).await;
    let start = now();
    inner.oneshot(get()).await.unwrap();
    assert!(now() - start <= millis(2));
}
