//! A scripted server that records the arrivals of its requests, and helpers for requests, responses
//! and clocks.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;
use tower::Service;

type Reply = Response<String>;
type Script = dyn Fn(usize) -> Reply + Send + Sync;

#[derive(Clone)]
pub(crate) struct Server {
    script: Arc<Script>,
    delay: Duration,
    silent_until: Option<Instant>,
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl Server {
    /// Answers the n-th request, counting from 0, by `script`, after `delay`.
    pub(crate) fn new(
        delay: Duration,
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            delay,
            silent_until: None,
            calls: Arc::default(),
        }
    }

    /// Sends no answer before `moment`. From then on it answers a millisecond after the request.
    pub(crate) fn answering_from(moment: Instant) -> Self {
        Self {
            silent_until: Some(moment),
            ..Self::new(millis(1), |_| status(200))
        }
    }

    pub(crate) fn ok() -> Self {
        Self::new(Duration::ZERO, |_| status(200))
    }

    pub(crate) fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }
}

impl<B: Send + 'static> Service<Request<B>> for Server {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut calls = self.calls.lock().unwrap();
        let reply = (self.script)(calls.len());
        calls.push(now());
        let answered = now() + self.delay;
        let answered = self
            .silent_until
            .map_or(answered, |moment| answered.max(moment));
        Box::pin(async move {
            tokio::time::sleep_until(answered).await;
            Ok(reply)
        })
    }
}

/// Reads the paused clock of the test.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the clock that it drives"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads the real clock, which advances while a thread is busy.
#[expect(
    clippy::disallowed_methods,
    reason = "a test on real threads measures their work"
)]
pub(crate) fn wall_clock() -> std::time::Instant {
    std::time::Instant::now()
}

pub(crate) fn status(status: u16) -> Reply {
    Response::builder()
        .status(status)
        .body(String::new())
        .unwrap()
}

pub(crate) fn status_with_retry_after(code: u16, seconds: u32) -> Reply {
    let mut reply = status(code);
    reply.headers_mut().insert("retry-after", seconds.into());
    reply
}

pub(crate) fn get() -> Request<String> {
    Request::get("/").body(String::new()).unwrap()
}

pub(crate) fn post() -> Request<String> {
    Request::post("/").body(String::from("once")).unwrap()
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs `work` on a runtime of its own whose time is paused.
pub(crate) fn on_a_paused_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work);
}
