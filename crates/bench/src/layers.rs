//! The cases of the layers: ours, and the same limit or retry of each peer.

use http::Request;
use tower::buffer::Buffer;
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower::retry::Retry;
use tower::{Layer, Service};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::inner::{Body, Inner};
use crate::measure::Case;
use crate::peers::{self, BudgetedRetries, PERMITS, RATE, Retries};
use crate::unlimited;

/// In each list of this file the bare service is first and our layer second.
pub(crate) fn concurrency() -> Vec<Case> {
    let ours = ConcurrencyLayer::new(PERMITS);
    let until_response = ours.clone().until_response().layer(Inner::new());
    let ours = ours.layer(Inner::new());
    let adaptive = ConcurrencyLayer::adaptive(Adaptive::default()).layer(Inner::new());
    let tower = ConcurrencyLimit::new(Inner::new(), PERMITS);
    let resilience = peers::resilience_bulkhead().layer(Inner::new());
    vec![
        Case::new("bare", Inner::new()),
        Case::new("tower-pace", ours),
        Case::new("tower-pace, until the response", until_response),
        Case::new("tower-pace, adaptive", adaptive),
        Case::new("tower", tower),
        Case::new("tower-resilience", resilience),
    ]
}

pub(crate) fn rate() -> Vec<Case> {
    let ours = RateLimitLayer::new(Quota::per_second(RATE)).layer(Inner::new());
    let tower = RateLimit::new(Inner::new(), peers::tower_rate());
    let resilience = peers::resilience_rate().layer(Inner::new());
    vec![
        Case::new("bare", Inner::new()),
        Case::new("tower-pace", ours),
        Case::new("tower (not Clone)", tower),
        Case::new("tower-resilience", resilience),
        Case::new("governor", peers::governed(Inner::new())),
        Case::new("leaky-bucket", peers::leaking(Inner::new())),
        Case::new(
            "no limit: a clone in the future",
            unlimited::cloned(Inner::new()),
        ),
        Case::new(
            "no limit: a clone, and two reads of the clock",
            unlimited::timed(Inner::new()),
        ),
    ]
}

/// None of these has a retry budget.
pub(crate) fn retry() -> Vec<Case> {
    let ours = RetryLayer::new(RetryPolicy::default().without_budget()).layer(Inner::new());
    let tower = Retry::new(Retries::three(), Inner::new());
    let resilience = peers::resilience_retry().layer(Inner::new());
    vec![
        Case::new("bare", Inner::new()),
        Case::new("tower-pace, no budget", ours),
        Case::new("tower, no budget", tower),
        Case::new("tower-resilience", resilience),
    ]
}

pub(crate) fn budgeted_retry() -> Vec<Case> {
    let ours = RetryLayer::new(RetryPolicy::default()).layer(Inner::new());
    let tower = Retry::new(BudgetedRetries::three(), Inner::new());
    vec![
        Case::new("bare", Inner::new()),
        Case::new("tower-pace, default budget", ours),
        Case::new("tower, TpsBudget", tower),
    ]
}

pub(crate) fn stack() -> Vec<Case> {
    vec![
        Case::new("bare", Inner::new()),
        Case::new("tower-pace", our_stack()),
        Case::new("tower, no buffer, retry innermost", tower_stack()),
        Case::new("tower, buffer below retry", buffered_tower_stack()),
        Case::new("tower-resilience", resilience_stack()),
        Case::new(
            "no limit: tower's retry, a clone, two reads of the clock",
            unlimited_stack(),
        ),
    ]
}

fn our_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let rate = RateLimitLayer::new(Quota::per_second(RATE));
    let bounded = ConcurrencyLayer::new(PERMITS).layer(Inner::new());
    RetryLayer::new(RetryPolicy::default()).layer(rate.layer(bounded))
}

/// tower's rate limit is not `Clone`. Without a buffer, the retry must be below it, and its
/// attempts are not limited.
fn tower_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = ConcurrencyLimit::new(Inner::new(), PERMITS);
    RateLimit::new(Retry::new(Retries::three(), bounded), peers::tower_rate())
}

fn buffered_tower_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = ConcurrencyLimit::new(Inner::new(), PERMITS);
    let limited = RateLimit::new(bounded, peers::tower_rate());
    Retry::new(Retries::three(), Buffer::new(limited, PERMITS))
}

/// Returns the least that a stack like ours needs: a retry, and a future that owns a service and
/// measures the round trip.
fn unlimited_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    Retry::new(Retries::three(), unlimited::timed(Inner::new()))
}

fn resilience_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = peers::resilience_bulkhead().layer(Inner::new());
    let limited = peers::resilience_rate().layer(bounded);
    peers::resilience_retry().layer(limited)
}
