//! The concurrency limit: when a permit is acquired, held and released.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, StreamBody, channel::Channel};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Concurrency, ConcurrencyLayer};
use tower_test::mock;

use crate::support::{Server, get, millis, now};

fn layered<S>(limit: usize, inner: S) -> Concurrency<S> {
    ConcurrencyLayer::new(limit).layer(inner)
}

/// Returns true if a new clone is ready at once.
fn is_free<S: Service<http::Request<String>> + Clone>(service: &S) -> bool {
    let mut clone = service.clone();
    clone
        .poll_ready(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

/// Returns a service, and the response whose body holds its only permit.
async fn answered_with<C>(
    body: C,
) -> (
    impl Service<http::Request<String>> + Clone,
    Response<tower_pace::concurrency::PermitBody<C>>,
)
where
    C: Body + Clone + Send + 'static,
{
    let service = layered(
        1,
        service_fn(move |_| {
            let body = body.clone();
            async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
        }),
    );
    let response = service.clone().oneshot(get()).await.unwrap();
    (service, response)
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_held_until_the_end_of_the_body() {
    let (service, mut response) = answered_with(Full::new(Bytes::from("hello"))).await;
    assert!(!is_free(&service));
    response.body_mut().frame().await.unwrap().unwrap();
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_releases_the_permit() {
    let (service, response) = answered_with(Full::new(Bytes::from("hello"))).await;
    assert!(!is_free(&service));
    drop(response);
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_holds_no_permit() {
    let (service, _response) = answered_with(Empty::<Bytes>::new()).await;
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn trailers_are_passed_on_and_end_the_body() {
    let service = layered(
        1,
        service_fn(|_| async {
            let (mut sender, body) = Channel::<Bytes>::new(2);
            sender.send_data(Bytes::from("hello")).await.unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("checksum", 7.into());
            sender.send_trailers(trailers).await.unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }),
    );
    let response = service.clone().oneshot(get()).await.unwrap();
    assert!(!is_free(&service));
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["checksum"], "7");
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_failed_body_releases_the_permit() {
    let service = layered(
        1,
        service_fn(|_| async {
            let frames = tokio_test::stream_mock::StreamMockBuilder::new()
                .next(Err::<http_body::Frame<Bytes>, _>(std::io::Error::other(
                    "reset",
                )))
                .build();
            Ok::<_, std::convert::Infallible>(Response::new(StreamBody::new(frames)))
        }),
    );
    let mut response = service.clone().oneshot(get()).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_err());
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_switching_protocols_response_holds_no_permit() {
    let service = layered(
        1,
        service_fn(|_| async {
            let upgraded = Response::builder()
                .status(101)
                .body(Full::new(Bytes::from("x")));
            Ok::<_, std::convert::Infallible>(upgraded.unwrap())
        }),
    );
    let _response = service.clone().oneshot(get()).await.unwrap();
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_ready_service_or_future_releases_the_permit() {
    let (mock, mut handle) = mock::pair::<http::Request<String>, Response<String>>();
    handle.allow(10);
    let service = layered(1, mock);
    let mut ready = service.clone();
    ServiceExt::<http::Request<String>>::ready(&mut ready)
        .await
        .unwrap();
    assert!(!is_free(&service));
    let future = ready.call(get());
    assert!(!is_free(&service));
    drop(future);
    assert!(is_free(&service));
    let mut ready = service.clone();
    ServiceExt::<http::Request<String>>::ready(&mut ready)
        .await
        .unwrap();
    drop(ready);
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn a_clone_holds_no_permit_of_its_original() {
    let mut ready = layered(1, Server::ok());
    ServiceExt::<http::Request<String>>::ready(&mut ready)
        .await
        .unwrap();
    assert!(!is_free(&ready));
}

/// A completed response future may stay alive, pinned on a stack.
#[tokio::test(start_paused = true)]
async fn a_completed_future_that_is_not_dropped_holds_no_permit() {
    let (mock, mut handle) = mock::pair::<http::Request<String>, Response<String>>();
    handle.allow(10);
    let service = layered(1, mock);
    let mut future = pin!(service.clone().oneshot(get()));
    let mut polled = task::spawn(std::future::poll_fn(|cx| future.as_mut().poll(cx)));
    assert_pending!(polled.poll());
    handle.next_request().await.unwrap().1.send_error("reset");
    assert!(assert_ready!(polled.poll()).is_err());
    assert!(is_free(&service));
}

/// Other limits hand the free permit to a waiter that was polled once and is not polled again, so
/// all others starve.
#[tokio::test(start_paused = true)]
async fn a_parked_waiter_delays_the_others_by_a_hundred_milliseconds_and_a_grace() {
    let service = layered(1, Server::new(millis(50), |_| crate::support::status(200)));
    let mut first = service.clone();
    ServiceExt::<http::Request<String>>::ready(&mut first)
        .await
        .unwrap();
    let mut parked = task::spawn(service.clone().oneshot(get()));
    assert_pending!(parked.poll());
    let start = now();
    let live = tokio::spawn(service.clone().oneshot(get()));
    tokio::task::yield_now().await;
    drop(first);
    assert!(live.await.unwrap().is_ok());
    let elapsed = now() - start;
    assert!(elapsed <= millis(50 + 100 + 2 * 5 + 2), "{elapsed:?}");
    assert!(is_free(&service));
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_while_the_inner_service_is_not_ready() {
    let (stuck, mut handle) = mock::pair::<http::Request<String>, Response<String>>();
    handle.allow(0);
    let layer = ConcurrencyLayer::new(1);
    let mut blocked = layer.layer(stuck);
    let mut waiting = task::spawn(std::future::poll_fn(|cx| {
        Service::<http::Request<String>>::poll_ready(&mut blocked, cx)
    }));
    assert_pending!(waiting.poll());
    let other = layer.layer(Server::ok());
    let response = tokio::time::timeout(millis(1), other.oneshot(get())).await;
    assert!(
        response.is_ok(),
        "the other group must not wait for the stuck one"
    );
    handle.allow(1);
    assert!(waiting.is_woken());
    assert!(assert_ready!(waiting.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn permits_are_acquired_in_the_order_of_the_first_polls() {
    let service = layered(1, Server::new(millis(10), |_| crate::support::status(200)));
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (service, order) = (service.clone(), order.clone());
        tasks.spawn(async move {
            let response = service.oneshot(get()).await.unwrap();
            order.lock().unwrap().push(n);
            drop(response);
        });
    }
    tasks.join_all().await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_the_limit_are_in_flight_and_all_finish() {
    let service = layered(3, Server::new(millis(100), |_| crate::support::status(200)));
    let start = now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..30 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tasks.join_all().await;
    let elapsed = now() - start;
    assert!(
        elapsed >= Duration::from_secs(1) && elapsed <= millis(1_020),
        "{elapsed:?}"
    );
}

#[test]
#[should_panic(expected = "a concurrency of 0 lets nothing through")]
fn a_limit_of_zero_panics() {
    let _ = ConcurrencyLayer::new(0);
}
