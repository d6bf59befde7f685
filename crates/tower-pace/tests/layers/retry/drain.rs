//! The body of a response that is not returned: it is read to its end, within bounds.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::channel::{Channel, Sender};
use tokio::task::coop::consume_budget;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::retry::Backoff;
use tower_pace::{ConcurrencyLayer, RetryLayer, RetryPolicy};

use crate::support::{get, millis, now};

/// A server whose first answer is a 503. The test sends the bodies.
#[derive(Clone, Default)]
struct Streaming {
    bodies: Arc<Mutex<Vec<Sender<Bytes>>>>,
}

impl Streaming {
    fn calls(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    fn first_body(&self) -> Sender<Bytes> {
        let (never_read, _) = Channel::new(1);
        std::mem::replace(&mut self.bodies.lock().unwrap()[0], never_read)
    }
}

impl Service<Request<String>> for Streaming {
    type Response = Response<Channel<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let (sender, body) = Channel::new(1);
        let mut bodies = self.bodies.lock().unwrap();
        bodies.push(sender);
        let status = if bodies.len() == 1 { 503 } else { 200 };
        ready(Ok(Response::builder().status(status).body(body).unwrap()))
    }
}

fn retry() -> RetryLayer {
    RetryLayer::new(RetryPolicy::default()).seed(1)
}

/// Sends a request. Returns the sender of the first answer's body, and the call.
async fn sent(
    layer: RetryLayer,
    server: &Streaming,
) -> (Sender<Bytes>, tokio::task::JoinHandle<u16>) {
    let service = layer.layer(ConcurrencyLayer::new(1).layer(server.clone()));
    let call = tokio::spawn(async move { service.oneshot(get()).await.unwrap().status().as_u16() });
    tokio::task::yield_now().await;
    (server.first_body(), call)
}

#[tokio::test(start_paused = true)]
async fn a_late_body_is_read_to_its_end() {
    let server = Streaming::default();
    let (mut body, call) = sent(retry(), &server).await;
    for _ in 0..5 {
        tokio::time::sleep(millis(20)).await;
        assert!(body.send_data(Bytes::from_static(b"late")).await.is_ok());
    }
    drop(body);
    assert_eq!(call.await.unwrap(), 200);
}

/// The body holds the permit: a body without end must not keep it from the next attempt.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_dropped_after_250_ms() {
    let server = Streaming::default();
    let start = now();
    let (mut body, call) = sent(retry(), &server).await;
    tokio::time::sleep(millis(249)).await;
    assert!(
        body.send_data(Bytes::from_static(b"still read"))
            .await
            .is_ok()
    );
    tokio::time::sleep(millis(2)).await;
    assert!(
        body.send_data(Bytes::from_static(b"dropped"))
            .await
            .is_err()
    );
    assert_eq!((call.await.unwrap(), server.calls()), (200, 2));
    assert!(now() - start <= millis(252), "the backoff runs meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_bound_is_dropped() {
    let server = Streaming::default();
    let (mut body, call) = sent(retry().drain(100, Duration::from_secs(60)), &server).await;
    let fifty = Bytes::from(vec![b'x'; 50]);
    for _ in 0..2 {
        assert!(body.send_data(fifty.clone()).await.is_ok());
        tokio::task::yield_now().await;
    }
    assert!(body.send(Frame::data(fifty.clone())).await.is_ok());
    tokio::task::yield_now().await;
    assert!(body.send_data(fifty).await.is_err());
    assert_eq!(call.await.unwrap(), 200);
}

/// A body that stalls must leave time for the next attempt.
#[tokio::test(start_paused = true)]
async fn reading_a_body_uses_up_at_most_half_of_the_time_to_the_deadline() {
    let server = Streaming::default();
    let backoff = Backoff::new(millis(10), millis(10));
    let policy = RetryPolicy::default().backoff(backoff);
    let layer = RetryLayer::new(policy).seed(1).deadline(millis(200));
    let service = layer.layer(ConcurrencyLayer::new(1).layer(server.clone()));
    let start = now();
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert!(now() - start <= millis(102), "{:?}", now() - start);
}

#[tokio::test(start_paused = true)]
async fn drain_of_zero_reads_nothing() {
    let server = Streaming::default();
    let (mut body, call) = sent(retry().drain(0, Duration::ZERO), &server).await;
    assert!(
        body.send_data(Bytes::from_static(b"dropped"))
            .await
            .is_err()
    );
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_returned_answer_is_not_read() {
    let server = Streaming::default();
    let layer = RetryLayer::new(RetryPolicy::default().attempts(1).throttled(0));
    let answer = layer.layer(server.clone()).oneshot(get()).await.unwrap();
    let mut body = server.first_body();
    assert!(body.send_data(Bytes::from_static(b"whole")).await.is_ok());
    drop(body);
    let whole = http_body_util::BodyExt::collect(answer.into_body()).await;
    assert_eq!(whole.unwrap().to_bytes(), "whole");
}

/// A body without end. It is always ready, or it uses up the cooperative budget of its task at each
/// poll, as a busy connection does.
struct Endless {
    reads: Arc<AtomicUsize>,
    is_busy: bool,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(reads < 100_000, "the time of the drain has no end");
        if !self.is_busy {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))));
        }
        while pin!(consume_budget()).poll(cx).is_ready() {}
        Poll::Pending
    }
}

async fn check_endless(is_busy: bool) {
    let (reads, calls) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let read = Arc::clone(&reads);
    let server = service_fn(move |_: Request<String>| {
        let reads = Arc::clone(&read);
        let status = match calls.fetch_add(1, Ordering::Relaxed) {
            0 => 503,
            _ => 200,
        };
        let answer = Response::builder().status(status);
        ready(answer.body(Endless { reads, is_busy }))
    });
    let layer = retry().drain(usize::MAX, millis(250));
    let call = tokio::spawn(layer.layer(server).oneshot(get()));
    tokio::task::yield_now().await;
    tokio::time::advance(millis(249)).await;
    tokio::task::yield_now().await;
    assert!(!call.is_finished() && reads.load(Ordering::Relaxed) > 0);
    tokio::time::advance(millis(1)).await;
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_is_dropped_in_time() {
    check_endless(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_keeps_its_task_busy_is_dropped_in_time() {
    check_endless(true).await;
}

/// Zero bytes and zero time mean the same: the retry does not wait for the body.
#[tokio::test(start_paused = true)]
async fn a_drain_of_zero_bytes_or_zero_time_drops_the_body_at_once() {
    for (bytes, time) in [(0, millis(10_000)), (1_024, millis(0)), (0, millis(0))] {
        let policy = RetryPolicy::default().backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
        let server = Streaming::default();
        let start = now();
        let (_body, call) = sent(RetryLayer::new(policy).drain(bytes, time), &server).await;
        assert_eq!(call.await.unwrap(), 200);
        // The timer of a wait of zero has a grain of a millisecond.
        assert!(now() - start <= millis(1), "{bytes} bytes, {time:?}");
        assert_eq!(server.calls(), 2);
    }
}
