//! Waits that are bounded: by how many wait, by how long, and by not waiting at all.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, Ready};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio_test::{assert_pending, task};
use tower::util::MapErr;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_pace::wait::BoundedWait;
use tower_pace::{
    ConcurrencyLayer, Deadline, Error, Quota, RateLimit, RateLimitLayer, Rejected, RetryLayer,
    RetryPolicy,
};
use tower_test::mock;

use crate::server::{Server, get, millis, now, status, status_with_retry_after};

/// Departures of a limit of 100 per second.
fn interval() -> Duration {
    Quota::per_second(100).spacing()
}

fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(100))
}

/// A service that has sent its first request: the second can leave one interval later.
async fn warm(
    layer: &RateLimitLayer<BoundedWait>,
    server: Server,
) -> RateLimit<Server, BoundedWait> {
    let first = layer.clone().max_wait(Duration::MAX).layer(server.clone());
    first.oneshot(get()).await.unwrap();
    layer.layer(server)
}

fn rejection<C>(result: Result<Response<C>, Error<Infallible>>) -> Rejected {
    let error = result.err().expect("the wait was rejected");
    *error.rejection().expect("the wait was rejected")
}

#[tokio::test(start_paused = true)]
async fn a_request_is_rejected_while_too_many_others_wait() {
    let server = Server::ok();
    let mut service = layer().max_queued(2).layer(server.clone());
    let mut waiting: Vec<_> = (0..2).map(|_| task::spawn(service.call(get()))).collect();
    for request in &mut waiting {
        assert_pending!(request.poll());
    }
    let start = now();
    let rejected = rejection(service.clone().oneshot(get()).await);
    assert!(rejected.is_full() && !rejected.is_too_long());
    assert_eq!((now(), rejected.waited()), (start, Duration::ZERO));
    assert_eq!(rejected.forecast(), Some(interval() * 3));
    drop(waiting);
    service.oneshot(get()).await.unwrap();
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_turn_is_too_far_away_is_rejected_at_once() {
    let service = warm(&layer().max_wait(millis(50)), Server::ok()).await;
    let mut tasks = JoinSet::new();
    let start = now();
    for _ in 0..10 {
        let call = service.clone().oneshot(get());
        tasks.spawn(async move { (call.await, now()) });
    }
    let results = tasks.join_all().await;
    let sent = results.iter().filter(|(result, _)| result.is_ok()).count();
    assert_eq!(sent, 4, "four turns of 11.15 ms come within 50 ms");
    for (rejected, at) in results.into_iter().filter(|(result, _)| result.is_err()) {
        let rejected = rejection(rejected);
        assert!(rejected.is_too_long() && rejected.forecast() > Some(millis(50)));
        assert_eq!(at, start);
    }
}

/// The only slot is held by a request that is not answered: nothing but an answer can bring the
/// next turn.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_let_wait_is_rejected_when_its_time_is_up() {
    let layer = RateLimitLayer::new(Quota::per_second(1).counted_until_answered());
    let silent = Server::new(Duration::from_secs(600), |_| status(200));
    let unanswered = tokio::spawn(layer.layer(silent).oneshot(get()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let start = now();
    let bounded = layer.max_wait(millis(500)).layer(Server::ok());
    let rejected = rejection(bounded.oneshot(get()).await);
    assert_eq!(
        (now() - start, rejected.waited()),
        (millis(500), millis(500))
    );
    assert_eq!(rejected.forecast(), None);
    unanswered.abort();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_wait_of_its_request_where_waits_are_bounded() {
    let plain = layer();
    let service = warm(&plain.clone().max_queued(100), Server::ok()).await;
    let due_in = |time| {
        let mut request = get();
        request.extensions_mut().insert(Deadline::within(time));
        request
    };
    let (start, hasty) = (now(), due_in(millis(5)));
    assert!(rejection(service.clone().oneshot(hasty).await).is_too_long());
    assert_eq!(now(), start);
    service.oneshot(due_in(millis(50))).await.unwrap();
    let ignored = plain.layer(Server::ok()).oneshot(due_in(millis(5))).await;
    assert_eq!(ignored.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_wait_is_not_tried_again() {
    let limited = warm(&layer().fail_fast(), Server::ok()).await;
    let retry = RetryLayer::new(RetryPolicy::default()).seed(1);
    let start = now();
    assert!(rejection(retry.layer(limited.clone()).oneshot(get()).await).is_too_long());
    let boxed = MapErr::new(limited, BoxError::from);
    assert!(retry.layer(boxed).oneshot(get()).await.is_err());
    assert_eq!(now(), start);
}

#[tokio::test(start_paused = true)]
async fn fail_fast_sends_at_once_or_not_at_all() {
    let server = Server::ok();
    let service = warm(&layer().fail_fast(), server.clone()).await;
    assert!(rejection(service.clone().oneshot(get()).await).is_too_long());
    tokio::time::sleep(interval()).await;
    service.clone().oneshot(get()).await.unwrap();
    assert!(service.oneshot(get()).await.is_err());
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_an_inner_service_counts() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let service = layer().max_wait(millis(300)).layer(mock);
    let start = now();
    let error = service.oneshot(get()).await.unwrap_err();
    assert!(error.rejection().is_some_and(Rejected::is_too_long));
    assert_eq!(now() - start, millis(300));
}

/// Is never ready, and uses up the budget of its task at each poll: every timer of tokio is then
/// pending.
#[derive(Clone)]
struct Busy;

impl Service<Request<String>> for Busy {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        while pin!(consume_budget()).poll(cx).is_ready() {}
        Poll::Pending
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_an_inner_service_that_keeps_its_task_busy_ends() {
    async fn check<C: Send + 'static>(
        service: impl Service<
            Request<String>,
            Response = Response<C>,
            Error = Error<Infallible>,
            Future: Send,
        > + Send
        + 'static,
    ) {
        let call = tokio::spawn(service.oneshot(get()));
        tokio::task::yield_now().await;
        tokio::time::advance(millis(299)).await;
        tokio::task::yield_now().await;
        assert!(!call.is_finished());
        tokio::time::advance(millis(1)).await;
        tokio::task::yield_now().await;
        assert!(call.is_finished());
        assert!(rejection(call.await.unwrap()).is_too_long());
    }
    check(layer().max_wait(millis(300)).layer(Busy)).await;
    check(ConcurrencyLayer::new(1).max_wait(millis(300)).layer(Busy)).await;
}

#[tokio::test(start_paused = true)]
async fn the_inner_services_error_is_kept_as_it_is() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    let call = tokio::spawn(layer().max_queued(1).layer(mock).oneshot(get()));
    handle.next_request().await.unwrap().1.send_error("reset");
    let error = call.await.unwrap().unwrap_err();
    assert!(error.rejection().is_none());
    assert_eq!(error.to_string(), "reset");
    assert_eq!(error.into_inner().unwrap().to_string(), "reset");
}

/// Who may wait for ever stands in one line with who may not, and a closed gate makes a forecast.
#[tokio::test(start_paused = true)]
async fn bounded_and_unbounded_requests_share_one_limit() {
    let layer = layer();
    let server = Server::new(millis(0), |_| status_with_retry_after(429, 60));
    layer.layer(server).oneshot(get()).await.unwrap();
    let patient = tokio::spawn(layer.layer(Server::ok()).oneshot(get()));
    tokio::task::yield_now().await;
    let hasty = layer.max_wait(Duration::from_secs(5)).layer(Server::ok());
    let start = now();
    let rejected = rejection(hasty.oneshot(get()).await);
    assert_eq!(now(), start);
    assert!(rejected.forecast() >= Some(Duration::from_secs(60)));
    assert_eq!(patient.await.unwrap().unwrap().status(), 200);
}

/// The first request left one tick of the clock after its slot, and kept it.
#[tokio::test(start_paused = true)]
async fn the_error_says_what_the_wait_would_have_been() {
    let service = warm(&layer().fail_fast(), Server::ok()).await;
    let error = service.oneshot(get()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "rejected by the local rate limit, nothing was sent"
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "it waited 0ns, the forecast was another 10.29293ms"
    );
}
