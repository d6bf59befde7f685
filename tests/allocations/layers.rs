//! The allocations that the layers add to a call that does not wait.

use std::fmt::Debug;
use std::time::Duration;

use http::Request;
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::inner::{Body, Inner, request};
use crate::{counted, runtime};

const CALLS: u64 = 200;
/// With 50 calls per second of 100, the next departure is always due and old slots expire in every
/// call.
const BETWEEN: Duration = Duration::from_millis(20);

/// Returns the allocations of the calls. As many calls before them let every buffer grow.
fn allocations<S>(mut service: S) -> u64
where
    S: Service<Request<Body>>,
    S::Error: Debug,
{
    let runtime = runtime();
    let request = request();
    let mut calls = || {
        runtime.block_on(async {
            for _ in 0..CALLS {
                advance(BETWEEN).await;
                let call = service.ready().await.unwrap().call(request.clone());
                drop(call.await.unwrap());
            }
        });
    };
    calls();
    counted(calls).count_total
}

/// Returns the allocations of a clone. Not of the first one, which moves bytes to shared memory.
fn of_a_clone<T: Clone>(original: &T) -> u64 {
    drop(original.clone());
    counted(|| original.clone()).count_total
}

#[track_caller]
fn check<S>(name: &str, service: S, beyond_the_bare_service: u64)
where
    S: Service<Request<Body>>,
    S::Error: Debug,
{
    let beyond = allocations(service) - allocations(Inner::new());
    println!("| {name} | {} |", beyond / CALLS);
    assert_eq!(beyond, CALLS * beyond_the_bare_service, "{name}");
}

#[test]
fn a_call_that_does_not_wait_allocates_only_its_clones() {
    let of_inner = of_a_clone(&Inner::new());
    let of_request = of_a_clone(&request());
    println!("\n| a call that does not wait | allocations beyond the bare service's |\n|---|--:|");
    println!("| a clone of the service, for comparison | {of_inner} |");
    println!("| a clone of the request, for comparison | {of_request} |");
    assert!(of_request > 0, "a clone of the request allocates");

    let rate = RateLimitLayer::new(Quota::per_second(100));
    let concurrency = ConcurrencyLayer::new(32);
    let retry = RetryLayer::new(RetryPolicy::default());
    check("rate", rate.layer(Inner::new()), of_inner);
    check("concurrency", concurrency.layer(Inner::new()), 0);
    let to_the_head = concurrency.clone().until_response();
    check(
        "concurrency, until the response",
        to_the_head.layer(Inner::new()),
        0,
    );
    let adaptive = ConcurrencyLayer::adaptive(Adaptive::default());
    check("concurrency, adaptive", adaptive.layer(Inner::new()), 0);
    check("retry", retry.layer(Inner::new()), of_request + of_inner);
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(rate)
        .layer(concurrency);
    check(
        "retry, rate and concurrency",
        stack.service(Inner::new()),
        of_request + 2 * of_inner,
    );
}
