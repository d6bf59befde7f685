//! A future that is dropped, in any state, releases everything that it held.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_pace::retry::{Backoff, RetryBudget};
use tower_pace::{
    Concurrency, ConcurrencyLayer, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer, RetryPolicy,
};

use crate::support::{Server, get, millis, now, on_a_paused_runtime, status};

const PERMITS: usize = 2;
/// The retries in the budget.
const RETRIES: usize = 10;

type Stack = Retry<RateLimit<Concurrency<Server>>>;

/// A stack whose failures have bodies, which hold permits, and whose backoff is short.
fn stack(server: &Server, seed: u64) -> Stack {
    let policy = RetryPolicy::default()
        .backoff(Backoff::new(millis(40), millis(40)))
        .budget(RetryBudget::new(0, 1).floor(1));
    let limit = RateLimitLayer::new(Quota::per_second(500));
    let concurrency = ConcurrencyLayer::new(PERMITS);
    let inner = limit.layer(concurrency.layer(server.clone()));
    RetryLayer::new(policy).seed(seed).layer(inner)
}

fn failure(body: &str) -> Response<String> {
    let mut failure = Response::new(String::from(body));
    *failure.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    failure
}

/// Drops each call after its number of milliseconds, then asserts that all permits are available.
async fn check_permits(drops: Vec<u64>, seed: u64) {
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
    // After this time no dropped request counts for the limit.
    sleep(Duration::from_secs(20)).await;
    assert_permits_are_available(&stack).await;
    assert_eq!(server.calls().len(), before + PERMITS);
}

/// Asserts that every permit can be acquired at once.
async fn assert_permits_are_available(stack: &Stack) {
    let concurrency = stack.get_ref().get_ref();
    let start = now();
    let calls = (0..PERMITS).map(|_| tokio::spawn(concurrency.clone().oneshot(get())));
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(now() - start <= millis(8));
}

/// Drops calls in their backoff, then asserts that they sent no retry and that the budget is full.
async fn check_budget(dropped: usize, seed: u64) {
    let server = Server::new(Duration::ZERO, |_| failure(""));
    let policy = RetryPolicy::default()
        .attempts(2)
        .backoff(Backoff::new(millis(400), millis(400)))
        .budget(RetryBudget::new(0, 1).floor(1));
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

/// Its references are counted: the inner service, the bodies of requests and answers, and errors
/// hold one each.
type Token = Arc<()>;

/// A service with scripted results. Without results left, it is closed.
#[derive(Clone)]
struct Failing {
    token: Token,
    results: Arc<Mutex<VecDeque<Result<u16, Token>>>>,
}

impl Service<Request<Token>> for Failing {
    type Response = Response<String>;
    type Error = Token;
    type Future = Ready<Result<Response<String>, Token>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Token>> {
        match self.results.lock().unwrap().is_empty() {
            true => Poll::Ready(Err(Arc::clone(&self.token))),
            false => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Request<Token>) -> Self::Future {
        let next = self.results.lock().unwrap().pop_front();
        ready(next.unwrap().map(status))
    }
}

/// Asserts that a completed call that is not dropped holds no token and no retry of the budget.
async fn check_completed(results: &[Result<u16, ()>]) {
    let token = Token::default();
    let results = results
        .iter()
        .map(|result| result.map_err(|()| Arc::clone(&token)));
    let failing = Failing {
        token: Arc::clone(&token),
        results: Arc::new(Mutex::new(results.collect())),
    };
    let policy = RetryPolicy::default()
        .attempts(2)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .budget(RetryBudget::new(0, 1).floor(1));
    let layer = RetryLayer::new(policy);
    let request = Request::get("/").body(Arc::clone(&token)).unwrap();
    let mut ended = Box::pin(layer.layer(failing).call(request));
    let retried = ended
        .as_mut()
        .await
        .is_ok_and(|answer| answer.status() == 200);
    assert_eq!(Arc::strong_count(&token), 1);
    let server = Server::new(Duration::ZERO, |_| failure(""));
    for _ in 0..RETRIES {
        layer.layer(server.clone()).oneshot(get()).await.unwrap();
    }
    assert_eq!(server.calls().len(), 2 * RETRIES - usize::from(retried));
}

#[tokio::test(start_paused = true)]
async fn a_completed_call_holds_nothing() {
    check_completed(&[Err(()), Ok(200)]).await;
    check_completed(&[Ok(503), Ok(200)]).await;
    check_completed(&[Err(())]).await;
    check_completed(&[Ok(503)]).await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dropped_call_keeps_no_permit_and_no_position(
        drops in prop::collection::vec(0_u64..120, 1..20),
        seed: u64,
    ) {
        on_a_paused_runtime(check_permits(drops, seed));
    }

    #[test]
    fn a_call_that_is_dropped_in_its_backoff_uses_up_no_budget(
        dropped in 0_usize..40,
        seed: u64,
    ) {
        on_a_paused_runtime(check_budget(dropped, seed));
    }
}
