//! A future that is dropped, in whatever state, leaves nothing behind.

use std::time::Duration;

use http::Response;
use proptest::prelude::*;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};
use tower_pace::retry::{Backoff, Budget};
use tower_pace::{
    Concurrency, ConcurrencyLayer, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer, RetryPolicy,
};

use crate::server::{Server, get, millis, now, on_a_paused_runtime};

const PERMITS: usize = 2;
/// What the budget saves up.
const RETRIES: usize = 10;

type Stack = Retry<RateLimit<Concurrency<Server>>>;

/// A stack whose failures have bodies, which hold permits, and whose backoff is short.
fn stack(server: &Server, seed: u64) -> Stack {
    let policy = RetryPolicy::default()
        .backoff(Backoff::new(millis(40), millis(40)))
        .budget(Budget::new(0, 1).floor(1));
    let limit = RateLimitLayer::new(Quota::per_second(500));
    let bound = ConcurrencyLayer::new(PERMITS);
    let inner = limit.layer(bound.layer(server.clone()));
    RetryLayer::new(policy).seed(seed).layer(inner)
}

fn failure(body: &str) -> Response<String> {
    let mut failure = Response::new(String::from(body));
    *failure.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    failure
}

/// Drops calls after so many milliseconds each, then sees what is left for others.
async fn run(drops: Vec<u64>, seed: u64) {
    let server = Server::new(millis(7), |_| failure("sorry"));
    let stack = stack(&server, seed);
    let calls = drops.into_iter().map(|millis| {
        let call = stack.clone().oneshot(get());
        tokio::spawn(timeout(Duration::from_millis(millis), call))
    });
    for call in calls.collect::<Vec<_>>() {
        drop(call.await.unwrap());
    }
    let before = server.calls().len();
    // By then nothing of what was given up counts for the limit any more.
    sleep(Duration::from_secs(20)).await;
    permits_are_free(&stack).await;
    assert_eq!(server.calls().len(), before + PERMITS);
}

/// Every permit can be taken, at once and for good.
async fn permits_are_free(stack: &Stack) {
    let bound = stack.get_ref().get_ref();
    let start = now();
    let calls = (0..PERMITS).map(|_| tokio::spawn(bound.clone().oneshot(get())));
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(now() - start <= millis(8));
}

/// Calls that are dropped in their backoff have sent no retry, and have used up nothing of the budget.
async fn spend(dropped: usize, seed: u64) {
    let server = Server::new(Duration::ZERO, |_| failure(""));
    let policy = RetryPolicy::default()
        .attempts(2)
        .backoff(Backoff::new(millis(400), millis(400)))
        .budget(Budget::new(0, 1).floor(1));
    let layer = RetryLayer::new(policy).seed(seed);
    for _ in 0..dropped {
        let mut call = tokio_test::task::spawn(layer.layer(server.clone()).oneshot(get()));
        let _ = call.poll();
    }
    let first = server.calls().len();
    for _ in 0..RETRIES {
        let call = layer.layer(server.clone()).oneshot(get());
        call.await.unwrap();
    }
    assert_eq!(server.calls().len(), first + 2 * RETRIES);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_that_is_dropped_keeps_no_permit_and_no_place(
        drops in prop::collection::vec(0_u64..120, 1..20),
        seed: u64,
    ) {
        on_a_paused_runtime(run(drops, seed));
    }

    #[test]
    fn a_call_that_is_dropped_in_its_backoff_keeps_nothing_of_the_budget(dropped in 0_usize..40, seed: u64) {
        on_a_paused_runtime(spend(dropped, seed));
    }
}
