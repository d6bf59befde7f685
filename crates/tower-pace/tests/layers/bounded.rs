//! Bounded waits: by the number of waiters, by time, and without any wait.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, Ready};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;
use tokio_test::{assert_pending, assert_ready, task};
use tower::limit::ConcurrencyLimit;
use tower::util::MapErr;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_pace::wait::{BoundedWait, LimitKind};
use tower_pace::{
    ConcurrencyLayer, Deadline, DeadlineLayer, Elapsed, Error, Quota, RateLimit, RateLimitLayer,
    Rejected, RetryLayer, RetryPolicy,
};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status, status_with_retry_after};

/// The interval of a limit of 100 per second.
fn interval() -> Duration {
    Quota::per_second(100).spacing()
}

fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(100))
}

/// Returns a service that has sent its first request: the second can depart one interval later.
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
async fn a_request_is_rejected_while_the_wait_queue_is_full() {
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
async fn a_request_whose_departure_is_too_far_away_is_rejected_at_once() {
    let service = warm(&layer().max_wait(millis(50)), Server::ok()).await;
    let mut tasks = JoinSet::new();
    let start = now();
    for _ in 0..10 {
        let call = service.clone().oneshot(get());
        tasks.spawn(async move { (call.await, now()) });
    }
    let results = tasks.join_all().await;
    let sent = results.iter().filter(|(result, _)| result.is_ok()).count();
    assert_eq!(
        sent, 4,
        "four departures, 11.15 ms apart, come within 50 ms"
    );
    for (rejected, at) in results.into_iter().filter(|(result, _)| result.is_err()) {
        let rejected = rejection(rejected);
        assert!(rejected.is_too_long() && rejected.forecast() > Some(millis(50)));
        assert_eq!(at, start);
    }
}

/// A request that is not answered holds the only slot: only its answer allows the next departure.
#[tokio::test(start_paused = true)]
async fn a_queued_request_is_rejected_at_its_bound() {
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
async fn a_deadline_bounds_the_wait_of_its_request_in_a_bounded_limit() {
    let plain = layer();
    let service = warm(&plain.clone().max_queued(100), Server::ok()).await;
    let due_in = |time| {
        let mut request = get();
        request.extensions_mut().insert(Deadline::within(time));
        request
    };
    let (start, urgent) = (now(), due_in(millis(5)));
    assert!(rejection(service.clone().oneshot(urgent).await).is_too_long());
    assert_eq!(now(), start);
    service.oneshot(due_in(millis(50))).await.unwrap();
    let ignored = plain.layer(Server::ok()).oneshot(due_in(millis(5))).await;
    assert_eq!(ignored.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_not_retried() {
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

/// A new limit starts with a wait of an interval, or of 100 ms.
#[tokio::test(start_paused = true)]
async fn the_first_request_waits_for_the_start_of_its_limit_whatever_its_bound() {
    for (quota, start) in [
        (Quota::per_second(100), interval()),
        (Quota::per_hour(10), millis(100)),
    ] {
        for layer in [
            RateLimitLayer::new(quota).fail_fast(),
            RateLimitLayer::new(quota).max_wait(millis(1)),
            RateLimitLayer::new(quota).max_queued(0),
        ] {
            let (begin, server) = (now(), Server::ok());
            let service = layer.layer(server.clone());
            let first = tokio::spawn(service.clone().oneshot(get()));
            tokio::task::yield_now().await;
            // Only the first one waits.
            rejection(service.clone().oneshot(get()).await);
            assert!(first.await.unwrap().is_ok());
            assert!(now() - begin < start + millis(2), "{:?}", now() - begin);
            rejection(service.oneshot(get()).await);
            assert_eq!(server.calls().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_limit_excuses_neither_a_deadline_nor_a_closed_gate() {
    let layer = RateLimitLayer::new(Quota::per_hour(10)).fail_fast();
    let mut late = get();
    late.extensions_mut().insert(Deadline::within(millis(50)));
    assert!(rejection(layer.layer(Server::ok()).oneshot(late).await).is_too_long());
    layer.handle().penalize(Duration::from_secs(1));
    assert!(rejection(layer.layer(Server::ok()).oneshot(get()).await).is_too_long());
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let stuck = RateLimitLayer::new(Quota::per_hour(10))
        .fail_fast()
        .layer(mock);
    let start = now();
    let error = stuck.oneshot(get()).await.unwrap_err();
    assert!(error.rejection().is_some_and(Rejected::is_too_long));
    assert!(now() - start <= millis(102), "{:?}", now() - start);
}

#[tokio::test(start_paused = true)]
async fn the_bound_includes_the_wait_for_the_inner_service() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let service = layer().max_wait(millis(300)).layer(mock);
    let start = now();
    let error = service.oneshot(get()).await.unwrap_err();
    assert!(error.rejection().is_some_and(Rejected::is_too_long));
    assert_eq!(now() - start, millis(300));
}

/// A service that is never ready and uses up the cooperative budget of its task at each poll. Every
/// timer of tokio is then pending.
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
async fn the_wait_for_an_inner_service_that_keeps_its_task_busy_ends_at_its_bound() {
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
async fn the_inner_services_error_is_unchanged() {
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    let call = tokio::spawn(layer().max_queued(1).layer(mock).oneshot(get()));
    handle.next_request().await.unwrap().1.send_error("reset");
    let error = call.await.unwrap().unwrap_err();
    assert!(error.rejection().is_none());
    assert_eq!(error.to_string(), "reset");
    assert_eq!(error.into_inner().unwrap().to_string(), "reset");
}

/// Bounded and unbounded waiters share one wait queue, and a closed gate counts in the forecast.
#[tokio::test(start_paused = true)]
async fn bounded_and_unbounded_requests_share_one_limit() {
    let layer = layer();
    let server = Server::new(millis(0), |_| status_with_retry_after(429, 60));
    layer.layer(server).oneshot(get()).await.unwrap();
    let unbounded = tokio::spawn(layer.layer(Server::ok()).oneshot(get()));
    tokio::task::yield_now().await;
    let bounded = layer.max_wait(Duration::from_secs(5)).layer(Server::ok());
    let start = now();
    let rejected = rejection(bounded.oneshot(get()).await);
    assert_eq!(now(), start);
    assert!(rejected.forecast() >= Some(Duration::from_secs(60)));
    assert_eq!(unbounded.await.unwrap().unwrap().status(), 200);
}

/// The first request departed one tick of the clock after it was due. The next departure keeps the
/// schedule, so the forecast is shorter than an interval.
#[tokio::test(start_paused = true)]
async fn the_error_states_the_forecast() {
    let service = warm(&layer().fail_fast(), Server::ok()).await;
    let error = service.oneshot(get()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "rejected by the local rate limit, nothing was sent"
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "it waited 0ns, the forecast of the rest was 10.29293ms"
    );
}

/// A semaphore hands a permit to its first waiter, and a future that has failed may stay alive.
#[tokio::test(start_paused = true)]
async fn a_rejected_request_no_longer_waits_for_the_inner_service() {
    let limit = ConcurrencyLimit::new(Server::ok(), 1);
    let mut holder = limit.clone();
    ServiceExt::<Request<String>>::ready(&mut holder)
        .await
        .unwrap();
    let layer = RateLimitLayer::new(Quota::per_second(100)).max_wait(millis(300));
    let mut call = task::spawn(layer.layer(limit.clone()).call(get()));
    assert_pending!(call.poll());
    for wait in [20, 280] {
        tokio::time::sleep(millis(wait)).await;
        let polled = call.poll();
        assert_eq!(polled.is_ready(), wait == 280);
    }
    drop(holder);
    let other = timeout(millis(1), limit.oneshot(get())).await;
    other.expect("the permit is free").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_rejected_at_once_does_not_wait_for_the_inner_service() {
    let limit = ConcurrencyLimit::new(Server::ok(), 1);
    let mut holder = limit.clone();
    ServiceExt::<Request<String>>::ready(&mut holder)
        .await
        .unwrap();
    let layer = RateLimitLayer::new(Quota::per_second(100)).fail_fast();
    layer.handle().pause();
    let mut call = task::spawn(layer.layer(limit.clone()).call(get()));
    assert_ready!(call.poll()).unwrap_err();
    drop(holder);
    let other = timeout(millis(1), limit.oneshot(get())).await;
    other.expect("the permit is free").unwrap();
}

/// Each of the three layers with an error of its own ends one call, around a client whose errors
/// have a type of their own, and around one whose errors are boxed.
#[tokio::test(start_paused = true)]
async fn one_question_to_the_outermost_error_finds_the_layer_that_ended_the_call() {
    for ended_by in [Some(LimitKind::Rate), Some(LimitKind::Concurrency), None] {
        let limit = layer().max_wait(Duration::from_secs(1));
        let permits = ConcurrencyLayer::new(1).fail_fast();
        let held = permits.layer(service_fn(async |_: Request<String>| {
            Ok::<_, io::Error>(Response::new(String::from("held")))
        }));
        let held = held.oneshot(get()).await.unwrap();
        match ended_by {
            Some(LimitKind::Rate) => limit.handle().penalize(Duration::from_secs(60)),
            Some(_) => {}
            None => drop(held),
        }
        let client = service_fn(|_: Request<String>| {
            std::future::pending::<Result<Response<String>, io::Error>>()
        });
        let layers = ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(5)))
            .layer(RetryLayer::new(RetryPolicy::default()))
            .layer(limit)
            .layer(permits);
        let is_elapsed = ended_by.is_none();

        let typed = layers.clone().service(client);
        let error: Error<Error<Error<io::Error>>> = typed.oneshot(get()).await.unwrap_err();
        assert_eq!(error.rejection().map(Rejected::limit), ended_by);
        assert_eq!(error.is_rejected(), ended_by.is_some());
        assert_eq!(error.is_elapsed(), is_elapsed);

        let boxed = layers.service(client.map_err(BoxError::from));
        let error: Error<Error<Error<BoxError>>> = boxed.oneshot(get()).await.unwrap_err();
        assert_eq!(error.rejection().map(Rejected::limit), ended_by);
        assert_eq!(error.is_elapsed(), is_elapsed);
        let error: BoxError = error.into_box();
        assert_eq!(Rejected::find(&error).map(Rejected::limit), ended_by);
        assert_eq!(Elapsed::find(&error).is_some(), is_elapsed);
    }
}
