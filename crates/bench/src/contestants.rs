use http::Request;
use tower::buffer::Buffer;
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower::retry::Retry;
use tower::{Layer, Service};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::floor;
use crate::inner::{Body, Inner};
use crate::measure::Contestant;
use crate::peers::{self, BudgetedRetries, PERMITS, RATE, Retries};

/// As in each list here, the bare service comes first and ours second.
pub(crate) fn concurrency() -> Vec<Contestant> {
    let ours = ConcurrencyLayer::new(PERMITS);
    let to_the_head = ours.clone().until_response().layer(Inner::new());
    let ours = ours.layer(Inner::new());
    let adaptive = ConcurrencyLayer::adaptive(Adaptive::default()).layer(Inner::new());
    let tower = ConcurrencyLimit::new(Inner::new(), PERMITS);
    let resilience = peers::resilience_bulkhead().layer(Inner::new());
    vec![
        Contestant::new("bare", Inner::new()),
        Contestant::new("tower-pace", ours),
        Contestant::new("tower-pace, until the response", to_the_head),
        Contestant::new("tower-pace, adaptive", adaptive),
        Contestant::new("tower", tower),
        Contestant::new("tower-resilience", resilience),
    ]
}

pub(crate) fn rate() -> Vec<Contestant> {
    let ours = RateLimitLayer::new(Quota::per_second(RATE)).layer(Inner::new());
    let tower = RateLimit::new(Inner::new(), peers::tower_rate());
    let resilience = peers::resilience_rate().layer(Inner::new());
    vec![
        Contestant::new("bare", Inner::new()),
        Contestant::new("tower-pace", ours),
        Contestant::new("tower (not Clone)", tower),
        Contestant::new("tower-resilience", resilience),
        Contestant::new("governor", peers::governed(Inner::new())),
        Contestant::new("leaky-bucket", peers::leaking(Inner::new())),
        Contestant::new(
            "no limit: a clone in the future",
            floor::cloned(Inner::new()),
        ),
        Contestant::new(
            "the same, and two looks at the clock",
            floor::timed(Inner::new()),
        ),
    ]
}

/// tower's policy has no budget, nor has tower-resilience's.
pub(crate) fn retry() -> Vec<Contestant> {
    let ours = RetryLayer::new(RetryPolicy::default().without_budget()).layer(Inner::new());
    let tower = Retry::new(Retries::three(), Inner::new());
    let resilience = peers::resilience_retry().layer(Inner::new());
    vec![
        Contestant::new("bare", Inner::new()),
        Contestant::new("tower-pace, no budget", ours),
        Contestant::new("tower, no budget", tower),
        Contestant::new("tower-resilience", resilience),
    ]
}

pub(crate) fn budgeted_retry() -> Vec<Contestant> {
    let ours = RetryLayer::new(RetryPolicy::default()).layer(Inner::new());
    let tower = Retry::new(BudgetedRetries::three(), Inner::new());
    vec![
        Contestant::new("bare", Inner::new()),
        Contestant::new("tower-pace, default budget", ours),
        Contestant::new("tower, TpsBudget", tower),
    ]
}

pub(crate) fn stack() -> Vec<Contestant> {
    vec![
        Contestant::new("bare", Inner::new()),
        Contestant::new("tower-pace", our_stack()),
        Contestant::new("tower, no buffer, retry innermost", tower_stack()),
        Contestant::new("tower, buffer below retry", buffered_tower_stack()),
        Contestant::new("tower-resilience", resilience_stack()),
        Contestant::new(
            "no limit: tower's retry, a clone, two looks",
            unlimited_stack(),
        ),
    ]
}

fn our_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let rate = RateLimitLayer::new(Quota::per_second(RATE));
    let bounded = ConcurrencyLayer::new(PERMITS).layer(Inner::new());
    RetryLayer::new(RetryPolicy::default()).layer(rate.layer(bounded))
}

/// tower's rate limit cannot be cloned, so that without a buffer the retry must be inside it and
/// goes unlimited.
fn tower_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = ConcurrencyLimit::new(Inner::new(), PERMITS);
    RateLimit::new(Retry::new(Retries::three(), bounded), peers::tower_rate())
}

fn buffered_tower_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = ConcurrencyLimit::new(Inner::new(), PERMITS);
    let limited = RateLimit::new(bounded, peers::tower_rate());
    Retry::new(Retries::three(), Buffer::new(limited, PERMITS))
}

/// What no stack can do without that retries, and waits in a future that knows its round trip.
fn unlimited_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    Retry::new(Retries::three(), floor::timed(Inner::new()))
}

fn resilience_stack() -> impl Service<Request<Body>, Error: std::fmt::Debug> {
    let bounded = peers::resilience_bulkhead().layer(Inner::new());
    let limited = peers::resilience_rate().layer(bounded);
    peers::resilience_retry().layer(limited)
}
