//! Bodies that are not `Clone` and are sent again: `ReplayBody`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::retry::{BufferedRetry, ReplayBody};
use tower_pace::{Retried, RetryLayer, RetryPolicy};

use crate::support::status;

/// One step of a body.
#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Pause,
    Break,
    Panic,
    Trailers,
}

/// A body that is not `Clone`.
struct Steps {
    steps: VecDeque<Step>,
    knows_its_length: bool,
}

impl Steps {
    fn new(steps: &[Step], knows_its_length: bool) -> Self {
        Self {
            steps: steps.iter().cloned().collect(),
            knows_its_length,
        }
    }

    fn of(data: &[u8]) -> Self {
        Self::new(&[Step::Data(data.to_vec())], true)
    }
}

impl Body for Steps {
    type Data = VecDeque<u8>;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<VecDeque<u8>>, io::Error>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Step::Panic) => panic!("a body that panics"),
            Some(Step::Break) => Poll::Ready(Some(Err(io::Error::other("broken")))),
            Some(Step::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.knows_its_length {
            true => SizeHint::with_exact(bytes(self.steps.iter()).len() as u64),
            false => SizeHint::default(),
        }
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, "end".parse().unwrap())])
}

fn bytes<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<u8> {
    let data = steps.filter_map(|step| match step {
        Step::Data(data) => Some(data.as_slice()),
        Step::Pause | Step::Break | Step::Panic | Step::Trailers => None,
    });
    data.collect::<Vec<_>>().concat()
}

/// The part of the body that one attempt received.
#[derive(Clone, Debug, Default)]
struct Received {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    has_ended: bool,
    has_failed: bool,
}

impl Received {
    async fn read(&mut self, body: &mut ReplayBody<Steps>, frames: usize) {
        for _ in 0..frames {
            let size = body.size_hint();
            match body.frame().await {
                None => {
                    self.has_ended = true;
                    assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
                    return;
                }
                Some(Err(_)) => {
                    self.has_failed = true;
                    return;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(exact) = size.exact() {
                            let left = body.size_hint().exact();
                            assert_eq!(left, Some(exact - data.len() as u64));
                        }
                        self.data.extend(data);
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }
}

/// A server that reads `reads[n]` frames in attempt n and answers 503. In the last attempt it reads
/// the whole body, and goes on reading the bodies of earlier attempts, as a connection might.
#[derive(Clone)]
struct Server {
    reads: Arc<Vec<usize>>,
    seen: Arc<Mutex<Vec<Received>>>,
    early: Arc<Mutex<Vec<ReplayBody<Steps>>>>,
}

impl Server {
    fn new(reads: &[usize]) -> Self {
        Self {
            reads: Arc::new(reads.to_vec()),
            seen: Arc::default(),
            early: Arc::default(),
        }
    }

    async fn answer(
        self,
        request: Request<ReplayBody<Steps>>,
    ) -> Result<Response<String>, Infallible> {
        let attempt = self.seen.lock().unwrap().len();
        self.seen.lock().unwrap().push(Received::default());
        let mut body = request.into_body();
        let mut seen = Received::default();
        if let Some(&frames) = self.reads.get(attempt) {
            seen.read(&mut body, frames).await;
            self.seen.lock().unwrap()[attempt] = seen;
            self.early.lock().unwrap().push(body);
            return Ok(status(503));
        }
        while !seen.has_ended && !seen.has_failed {
            self.read_early_bodies_on();
            seen.read(&mut body, 1).await;
        }
        let failed = seen.has_failed;
        self.seen.lock().unwrap()[attempt] = seen;
        Ok(status(if failed { 400 } else { 200 }))
    }

    /// Asserts that a superseded body yields no data to its earlier readers.
    fn read_early_bodies_on(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        for body in self.early.lock().unwrap().iter_mut() {
            let frame = Pin::new(body).poll_frame(&mut cx);
            let Poll::Ready(Some(Err(error))) = frame else {
                panic!("{frame:?}")
            };
            assert!(error.is_superseded());
        }
    }
}

fn buffered(
    server: &Server,
    limit: usize,
) -> impl Service<Request<Steps>, Response = Response<String>, Error = Infallible> + use<> {
    let server = server.clone();
    let service = service_fn(move |request| server.clone().answer(request));
    let policy = RetryPolicy::default().without_budget().attempts(10);
    let layer = RetryLayer::new(policy).seed(1).buffered(limit);
    let retry: BufferedRetry<_> = layer.layer(service);
    retry
}

fn put(body: Steps) -> Request<Steps> {
    Request::put("/").body(body).unwrap()
}

async fn check(data: &[u8], limit: usize, reads: &[usize], attempts: usize) {
    let server = Server::new(reads);
    let call = buffered(&server, limit).oneshot(put(Steps::of(data)));
    let answer = call.await.unwrap();
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.len(), attempts);
    let last = seen.last().unwrap();
    assert!(last.data == data || answer.status() == 503);
}

#[tokio::test(start_paused = true)]
async fn a_body_up_to_the_limit_is_sent_again() {
    check(b"hello", 5, &[9], 2).await;
    check(b"hello", 5, &[0, 1, 9], 4).await;
    check(b"", 0, &[0], 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_passes_once() {
    check(b"hello", 4, &[9], 1).await;
    check(b"hello", 4, &[0], 1).await;
}

/// An inner layer may clone the request and send the clone, as another retry does.
#[tokio::test(start_paused = true)]
async fn a_body_that_an_inner_layer_clones_is_sent_again() {
    async fn check(reads: &[usize]) {
        let server = Server::new(reads);
        let inner = server.clone();
        let service = service_fn(move |request: Request<ReplayBody<Steps>>| {
            let sent = request.clone();
            let answer = inner.clone().answer(sent);
            async move {
                let answer = answer.await;
                drop(request);
                answer
            }
        });
        let layer = RetryLayer::new(RetryPolicy::default()).seed(1);
        let call = layer.buffered(5).layer(service);
        let answer = call.oneshot(put(Steps::of(b"hello"))).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(server.seen.lock().unwrap().len(), reads.len() + 1);
    }
    check(&[9]).await;
    check(&[0, 1, 9]).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_within_a_retry_sends_the_body_again_too() {
    let server = Server::new(&[1, 0, 9, 9, 1]);
    let inner = server.clone();
    let service = service_fn(move |request| inner.clone().answer(request));
    let policy = RetryPolicy::default().attempts(2);
    let layer = RetryLayer::new(policy.attempts(3)).buffered(5);
    let call = layer.layer(RetryLayer::new(policy).layer(service));
    let answer = call.oneshot(put(Steps::of(b"hello"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(server.seen.lock().unwrap().len(), 6);
}

/// A body that neither ends nor fails.
struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Two readers of one attempt, as in a hedge: the earlier one must end, or its connection would
/// wait forever.
#[tokio::test(start_paused = true)]
async fn a_superseded_reader_is_woken() {
    let service = service_fn(|request: Request<ReplayBody<Silent>>| async move {
        let mut first = request.into_body();
        let mut second = first.clone();
        let mut reading = task::spawn(first.frame());
        assert_pending!(reading.poll());
        assert_pending!(task::spawn(second.frame()).poll());
        assert!(reading.is_woken());
        let error = assert_ready!(reading.poll()).unwrap().unwrap_err();
        assert!(error.is_superseded());
        Ok::<_, Infallible>(status(200))
    });
    let layer = RetryLayer::new(RetryPolicy::default()).buffered(9);
    let request = Request::put("/").body(Silent).unwrap();
    layer.layer(service).oneshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_partly_read_body_begins_at_the_start() {
    let service = service_fn(|request: Request<ReplayBody<Steps>>| async move {
        let mut first = request.into_body();
        Received::default().read(&mut first, 1).await;
        let (mut clone, mut seen) = (first.clone(), Received::default());
        seen.read(&mut clone, 9).await;
        assert!(seen.has_ended);
        assert_eq!(seen.data, b"hello");
        Ok::<_, Infallible>(status(200))
    });
    let layer = RetryLayer::new(RetryPolicy::default()).buffered(9);
    let steps = [b"he".to_vec(), b"llo".to_vec()].map(Step::Data);
    let call = layer.layer(service).oneshot(put(Steps::new(&steps, true)));
    call.await.unwrap();
}

/// A clone that has not returned the error must neither end nor state an exact size.
#[tokio::test(start_paused = true)]
async fn a_failed_body_ends_for_none_of_its_clones() {
    async fn check(steps: &'static [Step]) {
        let service = service_fn(move |request: Request<ReplayBody<Steps>>| async move {
            let mut first = request.into_body();
            let mut clone = first.clone();
            let mut seen = Received::default();
            seen.read(&mut first, 9).await;
            assert!(seen.has_failed);
            assert!(first.frame().await.is_none(), "as the body itself");
            assert_eq!(clone.size_hint().exact(), None);
            assert!(!clone.is_end_stream());
            let mut seen = Received::default();
            seen.read(&mut clone, 9).await;
            assert!(seen.has_failed && seen.data.is_empty());
            Ok::<_, Infallible>(status(200))
        });
        let layer = RetryLayer::new(RetryPolicy::default()).buffered(9);
        let request = put(Steps::new(steps, true));
        layer.layer(service).oneshot(request).await.unwrap();
    }
    check(&[Step::Break]).await;
    check(&[Step::Trailers, Step::Break]).await;
}

/// The panic may end the task of a connection, while its request is answered with an error that is
/// retried.
#[tokio::test(start_paused = true)]
async fn a_body_that_panicked_is_not_sent_again() {
    let calls = Arc::new(Mutex::new(0));
    let log = Arc::clone(&calls);
    let service = service_fn(move |request: Request<ReplayBody<Steps>>| {
        *log.lock().unwrap() += 1;
        let read = tokio::spawn(request.into_body().collect());
        async {
            let has_ended = read.await.is_ok_and(|body| body.is_ok());
            Ok::<_, Infallible>(status(if has_ended { 200 } else { 503 }))
        }
    });
    let layer = RetryLayer::new(RetryPolicy::default()).buffered(100);
    let steps = [Step::Data(b"hello".to_vec()), Step::Panic];
    let call = layer.layer(service).oneshot(put(Steps::new(&steps, false)));
    assert_eq!(call.await.unwrap().status(), 503);
    assert_eq!(*calls.lock().unwrap(), 1);
}

/// An attempt that waits for more of the body when its answer arrives must end, or its connection
/// would wait forever.
#[tokio::test(start_paused = true)]
async fn a_superseded_attempt_is_woken() {
    let uploads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&uploads);
    let service = service_fn(move |request: Request<ReplayBody<Silent>>| {
        let mut log = log.lock().unwrap();
        log.push(tokio::spawn(request.into_body().collect()));
        let answer = status(if log.len() == 1 { 503 } else { 200 });
        async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(answer)
        }
    });
    let layer = RetryLayer::new(RetryPolicy::default()).buffered(100);
    let call = layer
        .layer(service)
        .oneshot(Request::put("/").body(Silent).unwrap());
    assert_eq!(call.await.unwrap().status(), 200);
    let first = uploads.lock().unwrap().remove(0);
    assert!(first.await.unwrap().unwrap_err().is_superseded());
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Data),
        3 => Just(Step::Pause),
        1 => Just(Step::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// For any chunks, failures, early answers and bounds, every attempt reads the body from its
    /// start, exactly once. A reader for which the body ends has read all of it.
    #[test]
    fn every_attempt_reads_the_exact_bytes_or_fails(
        mut steps in prop::collection::vec(step(), 0..12),
        ends_in_trailers: bool,
        knows_its_length: bool,
        reads in prop::collection::vec(0_usize..14, 0..4),
        limit in 0_usize..120,
    ) {
        if ends_in_trailers {
            steps.push(Step::Trailers);
        }
        let whole = bytes(steps.iter());
        let breaks = steps.iter().any(|step| matches!(step, Step::Break));
        let server = Server::new(&reads);
        let call = buffered(&server, limit).oneshot(put(Steps::new(&steps, knows_its_length)));
        let answer = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(call)
            .unwrap();
        let seen = server.seen.lock().unwrap();
        for attempt in seen.iter() {
            prop_assert!(whole.starts_with(&attempt.data), "{attempt:?}");
            if attempt.has_ended {
                prop_assert!(!breaks);
                prop_assert_eq!(&attempt.data, &whole);
                prop_assert_eq!(attempt.trailers.is_some(), ends_in_trailers);
            }
        }
        let last = seen.last().unwrap();
        prop_assert_eq!(answer.status() == 200, last.has_ended && seen.len() == reads.len() + 1);
        let retried = answer.extensions().get::<Retried>().map_or(1, Retried::attempts);
        prop_assert_eq!(retried as usize, seen.len());
        // A body within the limit that does not break is sent as often as the server asks for it.
        if !breaks && steps.len() * 20 + 7 <= limit {
            prop_assert_eq!(answer.status(), 200);
        }
    }
}

/// 10,000 by default. `PROPTEST_CASES` sets another number.
fn cases() -> u32 {
    let set = std::env::var("PROPTEST_CASES").ok();
    set.and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}
