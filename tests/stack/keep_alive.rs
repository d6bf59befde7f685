//! The connections of a hyper client below the retry, and the errors that prove that nothing was
//! sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::hyper::client::conn::http1;
use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Sleep, sleep};
use tower::{Layer, ServiceExt};
use tower_pace::retry::Backoff;
use tower_pace::{DeadlineLayer, RetryLayer, RetryPolicy, was_sent};

use crate::support::{Dial, client};
use crate::{get, millis, serving};

/// A body of one frame, after a delay.
struct Late {
    timer: Pin<Box<Sleep>>,
    data: Option<Bytes>,
}

impl Late {
    fn new(time: Duration, size: usize) -> Self {
        Self {
            timer: Box::pin(sleep(time)),
            data: Some(vec![b'x'; size].into()),
        }
    }
}

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }
}

/// Returns the connections of one request and five immediate retries, if every response is a 503
/// with such a body.
async fn connections(body: fn() -> Body, layer: RetryLayer) -> usize {
    let failing = any(move || async move {
        Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .body(body())
            .unwrap()
    });
    let (dials, server) = (
        Arc::new(AtomicUsize::new(0)),
        serving(Router::new().fallback(failing)),
    );
    let counter = Arc::clone(&dials);
    let counting = Dial::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        server.dial()
    });
    let response = layer.layer(client(counting)).oneshot(get()).await.unwrap();
    let retried = response.extensions().get::<tower_pace::Retried>().unwrap();
    assert_eq!(retried.attempts(), 6);
    dials.load(Ordering::SeqCst)
}

fn immediate_retries() -> RetryLayer {
    let policy = RetryPolicy::default()
        .attempts(6)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
    RetryLayer::new(policy)
}

#[tokio::test(start_paused = true)]
async fn a_retry_reuses_its_connection() {
    assert_eq!(connections(Body::empty, immediate_retries()).await, 1);
    assert_eq!(
        connections(|| vec![0; 100].into(), immediate_retries()).await,
        1
    );
    assert_eq!(
        connections(|| vec![0; 8 << 10].into(), immediate_retries()).await,
        1
    );
    assert_eq!(
        connections(|| vec![0; 20 << 10].into(), immediate_retries()).await,
        1
    );
    assert_eq!(
        connections(|| vec![0; 200 << 10].into(), immediate_retries()).await,
        1
    );
    let late = || Body::new(Late::new(millis(20), 100));
    assert_eq!(connections(late, immediate_retries()).await, 1);
}

/// Without draining, a response whose body is incomplete costs its connection.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_drained_costs_a_connection_per_retry() {
    let late = || Body::new(Late::new(millis(20), 100));
    let undrained = immediate_retries().drain(0, Duration::ZERO);
    assert_eq!(connections(late, undrained).await, 6);
    let long = || Body::new(Late::new(millis(300), 100));
    assert_eq!(connections(long, immediate_retries()).await, 6);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hyper_returns_unwritten_was_not_sent() {
    let (near, far) = tokio::io::duplex(1_024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
    drop((connection, far));
    let error = sender.send_request(get()).await.unwrap_err();
    assert!(error.is_canceled() && !was_sent(&error));
}

/// Responds to one request on `far`, and leaves the connection open.
async fn respond_once(far: &mut DuplexStream) {
    let mut request = [0; 1_024];
    assert!(far.read(&mut request).await.unwrap() > 0);
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    far.write_all(response).await.unwrap();
}

/// The server closes an idle connection. The client has not noticed it when it sends the next
/// request.
#[tokio::test(start_paused = true)]
async fn a_request_queued_on_a_closed_connection_was_not_sent() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&ends);
    let dial = Dial::new(move || {
        let (near, far) = tokio::io::duplex(1_024);
        kept.lock().unwrap().push(far);
        Ok(near)
    });
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build(dial);
    let first = tokio::spawn(client.request(get()));
    sleep(millis(1)).await;
    let mut far = ends.lock().unwrap().pop().unwrap();
    respond_once(&mut far).await;
    first
        .await
        .unwrap()
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    sleep(millis(1)).await;
    drop(far);
    let error = client.request(get()).await.unwrap_err();
    assert!(!error.is_connect() && !was_sent(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_connection_that_breaks_may_have_been_sent() {
    let dial = Dial::new(|| {
        let (near, mut far) = tokio::io::duplex(1_024);
        tokio::spawn(async move { far.read(&mut [0; 1_024]).await });
        Ok(near)
    });
    let client = client(dial);
    assert!(was_sent(&client.request(get()).await.unwrap_err()));
    let bounded = DeadlineLayer::new(Duration::from_secs(1)).layer(client);
    assert!(was_sent(&bounded.oneshot(get()).await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn was_sent_looks_into_the_error_of_a_deadline() {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let client = client(Dial::new(move || Err::<DuplexStream, _>(refused())));
    let bounded = DeadlineLayer::new(Duration::from_secs(1)).layer(client.clone());
    let error = bounded.oneshot(get()).await.unwrap_err();
    assert!(!was_sent(&error));
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert!(!was_sent(&boxed));
    let boxing = client.map_err(Box::<dyn std::error::Error + Send + Sync>::from);
    let bounded = DeadlineLayer::new(Duration::from_secs(1)).layer(boxing);
    assert!(!was_sent(&bounded.oneshot(get()).await.unwrap_err()));
}
