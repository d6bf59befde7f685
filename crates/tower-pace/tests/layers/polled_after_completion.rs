//! A completed future that is polled again panics. It sends nothing and acquires nothing.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};

use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tower_pace::{
    ConcurrencyLayer, Deadline, DeadlineLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy,
};
use tower_test::mock;

use crate::support::{Server, get, millis, status};

/// Polls a future and returns the text of its panic, if it panics.
fn panic_of<F: Future>(future: &mut Pin<Box<F>>) -> Option<String> {
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| drop(future.as_mut().poll(&mut cx))));
    let payload = polled.err()?;
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    })
}

/// Polls a call to its end, then polls it again: at once, and when another request could depart.
async fn check_panics_when_polled_again<S>(name: &str, mut service: S, server: &Server)
where
    S: Service<Request<String>>,
{
    assert!(
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .is_ok()
    );
    let mut call = Box::pin(service.call(get()));
    let _ = call.as_mut().await;
    let sent = server.calls().len();
    for wait in [0, 60_000] {
        tokio::time::sleep(millis(wait)).await;
        let panic = panic_of(&mut call);
        assert_eq!(
            panic.as_deref(),
            Some("a future is not polled after its end"),
            "{name}"
        );
    }
    assert_eq!(server.calls().len(), sent, "{name} sent another request");
}

fn rate() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(1))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_answered_panics_when_polled_again() {
    let server = Server::new(millis(5), |_| status(200));
    let limited = rate();
    check_panics_when_polled_again("rate", limited.layer(server.clone()), &server).await;
    assert_eq!(limited.handle().snapshot().counters.departed, 1);
    let permits = ConcurrencyLayer::new(1);
    check_panics_when_polled_again("concurrency", permits.layer(server.clone()), &server).await;
    let until_response = permits.clone().until_response().layer(server.clone());
    check_panics_when_polled_again("until the response", until_response, &server).await;
    assert_eq!(permits.handle().snapshot().in_flight, 0);
    let retry = RetryLayer::new(RetryPolicy::default()).seed(1);
    check_panics_when_polled_again("retry", retry.layer(server.clone()), &server).await;
    let deadline = DeadlineLayer::new(millis(100)).layer(server.clone());
    check_panics_when_polled_again("deadline", deadline, &server).await;
    assert_eq!(server.calls().len(), 5);
}

/// After a wait that was rejected at once, and after one that reached its bound.
#[tokio::test(start_paused = true)]
async fn a_rejected_call_panics_when_polled_again() {
    let server = Server::new(millis(5), |_| status(200));
    let limited = rate().fail_fast();
    let handle = limited.handle();
    let _ = limited.layer(server.clone()).call(get()).await;
    check_panics_when_polled_again("rate, at once", limited.layer(server.clone()), &server).await;
    handle.pause();
    let waiting = limited.max_wait(millis(50)).layer(server.clone());
    let departed = handle.snapshot().counters.departed;
    let mut call = Box::pin({ waiting }.call(get()));
    assert!(call.as_mut().await.is_err());
    handle.resume();
    tokio::time::sleep(millis(60_000)).await;
    assert!(panic_of(&mut call).is_some());
    assert_eq!(handle.snapshot().counters.departed, departed);

    let permits = ConcurrencyLayer::new(1).fail_fast();
    let mut holder = permits.layer(server.clone());
    assert!(
        std::future::poll_fn(|cx| Service::<Request<String>>::poll_ready(&mut holder, cx))
            .await
            .is_ok()
    );
    check_panics_when_polled_again("concurrency", permits.layer(server.clone()), &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_reached_its_deadline_panics_when_polled_again() {
    let server = Server::new(millis(500), |_| status(200));
    let deadline = DeadlineLayer::new(millis(100)).layer(server.clone());
    check_panics_when_polled_again("during the call", deadline, &server).await;
    let mut request = get();
    request.extensions_mut().insert(Deadline::within(millis(0)));
    let mut call = Box::pin(rate().max_queued(9).layer(server.clone()).call(request));
    assert!(call.as_mut().await.is_err());
    tokio::time::sleep(millis(60_000)).await;
    assert!(panic_of(&mut call).is_some());
    assert_eq!(server.calls().len(), 1);
}

/// After an error of the call, and after one of `poll_ready`.
#[tokio::test(start_paused = true)]
async fn a_call_whose_inner_service_failed_panics_when_polled_again() {
    let server = Server::ok();
    let failing = || service_fn(|_: Request<String>| async { Err::<Response<String>, _>("reset") });
    check_panics_when_polled_again("rate", rate().layer(failing()), &server).await;
    let permits = ConcurrencyLayer::new(1).layer(failing());
    check_panics_when_polled_again("concurrency", permits, &server).await;
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.send_error("closed");
    check_panics_when_polled_again("rate, not ready", rate().layer(mock), &server).await;
}

/// The request was moved into the call, so there is nothing left to send.
#[tokio::test(start_paused = true)]
async fn a_call_whose_inner_service_panicked_panics_when_polled_again() {
    let panicking = service_fn(
        |_: Request<String>| -> std::future::Ready<Result<Response<String>, ()>> {
            panic!("of the inner service")
        },
    );
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let mut call = Box::pin(layer.layer(panicking).call(get()));
    let mut panics = Vec::new();
    for _ in 0..500 {
        tokio::time::sleep(millis(10)).await;
        panics.extend(panic_of(&mut call));
    }
    assert_eq!(panics[0], "of the inner service");
    assert!(
        panics.len() > 1
            && panics[1..]
                .iter()
                .all(|panic| panic.contains("after its end"))
    );
    assert_eq!(layer.handle().snapshot().counters.departed, 1);
}
