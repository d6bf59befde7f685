//! A concurrency limit and the readiness of its inner service.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::{Sleep, sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer};

use crate::support::{Server, get, millis, status};

/// A service that is ready some time after it was first polled, and stays ready. A clone starts
/// anew.
struct SlowlyReady {
    /// The time until it is ready, in milliseconds.
    warm_up: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// The time of a call, in milliseconds.
    response_time: u64,
}

impl SlowlyReady {
    fn new(warm_up: u64, response_time: u64) -> Self {
        Self {
            warm_up,
            timer: None,
            response_time,
        }
    }
}

impl Clone for SlowlyReady {
    fn clone(&self) -> Self {
        Self::new(self.warm_up, self.response_time)
    }
}

impl Service<Request<String>> for SlowlyReady {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let warm_up = millis(self.warm_up);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(warm_up)));
        timer.as_mut().poll(cx).map(Ok)
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let response_time = millis(self.response_time);
        Box::pin(async move {
            sleep(response_time).await;
            Ok(status(200))
        })
    }
}

/// Calls a service as its owner does, who keeps it.
async fn call<S: Service<Request<String>>>(service: &mut S) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(get()).await
}

/// Two callers that call a service again and again.
fn keep_busy<S>(service: &S)
where
    S: Service<Request<String>, Error: Send, Response: Send, Future: Send> + Clone + Send + 'static,
{
    for _ in 0..2 {
        let mut service = service.clone();
        tokio::spawn(async move {
            loop {
                drop(call(&mut service).await);
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_inner_service_is_ready_late_is_not_starved() {
    let layer = ConcurrencyLayer::new(1);
    keep_busy(&layer.layer(SlowlyReady::new(0, 15)));
    sleep(millis(5)).await;
    let mut slow = layer.layer(SlowlyReady::new(20, 1));
    let called = timeout(millis(60_000), call(&mut slow)).await;
    assert!(called.is_ok(), "the waiter was passed for a minute");
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_two_busy_limits_is_not_starved() {
    let (outer, inner) = (ConcurrencyLayer::new(1), ConcurrencyLayer::new(1));
    keep_busy(&outer.layer(SlowlyReady::new(0, 15)));
    keep_busy(&inner.layer(SlowlyReady::new(0, 40)));
    sleep(millis(5)).await;
    let mut stack = outer.layer(inner.layer(SlowlyReady::new(0, 1)));
    let called = timeout(millis(60_000), call(&mut stack)).await;
    assert!(called.is_ok(), "the waiter was passed for a minute");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_wait_reserves_nothing_of_the_inner_service() {
    let inner = ConcurrencyLayer::new(1);
    let outer = ConcurrencyLayer::adaptive(Adaptive::between(1, 1)).fail_fast();
    let mut busy = outer.layer(Server::new(millis(60_000), |_| status(200)));
    let busy = tokio::spawn(async move { call(&mut busy).await.is_ok() });
    sleep(millis(1)).await;
    let mut service = outer.layer(inner.layer(Server::ok()));
    let error = call(&mut service).await.unwrap_err();
    assert!(error.is_rejected());
    // The service lives on, and no call of it is in flight.
    assert_eq!(inner.handle().snapshot().in_flight, 0);
    let other = inner.layer(Server::ok()).oneshot(get());
    assert!(timeout(millis(30_000), other).await.is_ok());
    drop((service, busy));
}
