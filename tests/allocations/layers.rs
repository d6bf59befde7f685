//! A call that has to wait for nothing: what the layers allocate beyond what the bare service does.

use std::fmt::Debug;
use std::time::Duration;

use http::Request;
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::inner::{Body, Inner, request};
use crate::{counted, runtime};

const CALLS: u64 = 200;
/// A second has room for 100 calls, of which 50 are made: the next is always due, and the window
/// has something to forget.
const BETWEEN: Duration = Duration::from_millis(20);

/// How many allocations the calls make, after as many that let every buffer grow to what it needs.
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

/// Allocations of one clone, of what was cloned before: the first clone of bytes moves them to
/// where they are shared.
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
fn a_call_that_waits_for_nothing_allocates_nothing_but_what_it_clones() {
    let of_inner = of_a_clone(&Inner::new());
    let of_request = of_a_clone(&request());
    println!(
        "\n| a call that waits for nothing | allocations beyond the bare service's |\n|---|--:|"
    );
    println!("| a clone of the service, for comparison | {of_inner} |");
    println!("| a clone of the request, for comparison | {of_request} |");
    assert!(of_request > 0, "there is something to count");

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
