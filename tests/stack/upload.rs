//! Bodies that are sent again over real connections, after a response before the body was read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Sleep, sleep};
use tower::{Layer, ServiceExt};
use tower_pace::{Retried, RetryLayer, RetryPolicy};

use crate::support::now;
use crate::{millis, serving};

const FRAMES: usize = 10;
const FRAME: usize = 50_000;

/// A body that is not `Clone`, with a frame every 10 ms.
struct Upload {
    frames: VecDeque<Bytes>,
    timer: Pin<Box<Sleep>>,
    knows_its_length: bool,
}

impl Upload {
    fn new(knows_its_length: bool) -> Self {
        let frames = (b'0'..).take(FRAMES).map(|digit| vec![digit; FRAME].into());
        Self {
            frames: frames.collect(),
            timer: Box::pin(sleep(millis(10))),
            knows_its_length,
        }
    }

    fn whole() -> Vec<u8> {
        Self::new(true).frames.iter().flatten().copied().collect()
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.timer.as_mut().poll(cx));
        self.timer.as_mut().reset(now() + millis(10));
        Poll::Ready(self.frames.pop_front().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.knows_its_length {
            true => SizeHint::with_exact((self.frames.len() * FRAME) as u64),
            false => SizeHint::default(),
        }
    }
}

/// The content length and the body of the one attempt that the server read to the end.
type Received = Arc<Mutex<Option<(Option<String>, Bytes)>>>;

/// Reads nothing of the first body, one frame of the second, and the whole third one.
fn responding_early(received: &Received) -> Router {
    let (received, calls) = (Arc::clone(received), Arc::new(AtomicUsize::new(0)));
    Router::new().fallback(any(move |request: Request<Body>| async move {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.map(|length| length.to_str().unwrap().into());
        let mut body = request.into_body();
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => return StatusCode::SERVICE_UNAVAILABLE,
            1 => {
                body.frame().await.unwrap().unwrap();
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            _ => {}
        }
        let whole = body.collect().await.unwrap().to_bytes();
        *received.lock().unwrap() = Some((length, whole));
        StatusCode::OK
    }))
}

async fn check(knows_its_length: bool, expected: Option<&str>) {
    let received = Received::default();
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(serving(responding_early(&received)));
    let layer = RetryLayer::new(RetryPolicy::default()).buffered(FRAMES * FRAME);
    let request = Request::put("http://server/").body(Upload::new(knows_its_length));
    let call = layer.layer(client).oneshot(request.unwrap());
    let response = call.await.unwrap();
    let retried = response.extensions().get::<Retried>().unwrap();
    assert_eq!((response.status(), retried.attempts()), (StatusCode::OK, 3));
    let (length, body) = received.lock().unwrap().take().unwrap();
    assert_eq!(length.as_deref(), expected);
    assert!(body == Upload::whole(), "{} bytes", body.len());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_from_its_start_after_an_early_response() {
    check(true, Some("500000")).await;
    check(false, None).await;
}
