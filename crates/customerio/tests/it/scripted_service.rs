//! A service that answers with given replies and records the requests.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use customerio::client::{ClientBuilder, RetryPolicy};
use customerio::{Client, Credentials};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::Instant;
use tower::Service;

use crate::support::KEY;

pub(crate) enum Reply {
    Answer(u16, &'static str),
    /// An empty response with this request id.
    Named(u16, &'static str),
    /// A 429 with a `Retry-After` in seconds.
    Throttle(u64),
    /// A response with these fields.
    With(u16, &'static [(&'static str, &'static str)]),
    /// A redirect to this place.
    Redirect(&'static str),
    /// Half of a response, then an error.
    BreakOff,
    /// A success of this many bytes.
    Long(usize),
    /// A success after this time.
    After(Duration),
    /// No response, forever.
    Hang,
    /// An error of the connection.
    Reset,
}

pub(crate) const OK: Reply = Reply::Answer(200, "{}");

/// Answers with its replies in order, then with successes.
#[derive(Clone)]
pub(crate) struct ScriptedService(Arc<Mutex<State>>);

struct State {
    started: Instant,
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) line: String,
    pub(crate) body: Value,
    pub(crate) retry_count: Option<String>,
}

impl ScriptedService {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let started = now();
        let replies = replies.into_iter().collect();
        Self(Arc::new(Mutex::new(State {
            started,
            replies,
            seen: Vec::new(),
        })))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }

    async fn answer(self, request: Request<Full<Bytes>>) -> io::Result<Response<Parts>> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let retry_count = request.headers().get("x-retry-count");
        let retry_count = retry_count.map(|count| count.to_str().unwrap().to_owned());
        let Ok(body) = request.into_body().collect().await;
        let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let reply = {
            let mut state = self.0.lock().unwrap();
            let at = now() - state.started;
            state.seen.push(Seen {
                at,
                line,
                body,
                retry_count,
            });
            state.replies.pop_front().unwrap_or(OK)
        };
        reply.play().await
    }
}

/// Reads the paused clock of the test.
#[expect(
    clippy::disallowed_methods,
    reason = "a test looks at its own virtual time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Reply {
    async fn play(self) -> io::Result<Response<Parts>> {
        let answer = |status, body: &[u8]| {
            let body = Parts(VecDeque::from([Ok(Bytes::copy_from_slice(body))]));
            Response::builder().status(status).body(body).unwrap()
        };
        let with = |mut response: Response<Parts>, name: &'static str, value: &str| {
            response.headers_mut().insert(name, value.parse().unwrap());
            response
        };
        Ok(match self {
            Self::Answer(status, body) => answer(status, body.as_bytes()),
            Self::Named(status, id) => with(answer(status, b""), "x-request-id", id),
            Self::Throttle(seconds) => with(answer(429, b""), "retry-after", &seconds.to_string()),
            Self::With(status, fields) => fields
                .iter()
                .fold(answer(status, b"{}"), |response, (name, value)| {
                    with(response, name, value)
                }),
            Self::Redirect(to) => with(answer(307, b""), "location", to),
            Self::BreakOff => {
                let broken = Err(io::ErrorKind::ConnectionReset.into());
                Response::new(Parts(VecDeque::from([
                    Ok(Bytes::from_static(b"{")),
                    broken,
                ])))
            }
            Self::Long(bytes) => answer(200, format!("{{{}}}", " ".repeat(bytes - 2)).as_bytes()),
            Self::After(time) => {
                tokio::time::sleep(time).await;
                answer(200, b"{}")
            }
            Self::Hang => pending().await,
            Self::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
        })
    }
}

impl Service<Request<Full<Bytes>>> for ScriptedService {
    type Response = Response<Parts>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Parts>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// A body of parts, any of which may be an error.
pub(crate) struct Parts(VecDeque<io::Result<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|part| part.map(Frame::data)))
    }
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder().credentials(Credentials::new("site", KEY).unwrap())
}

/// Returns a client with three attempts, and the service that it sends to.
pub(crate) fn scripted(replies: impl IntoIterator<Item = Reply>) -> (Client, ScriptedService) {
    let service = ScriptedService::new(replies);
    let retry = RetryPolicy::default().attempts(3).throttled(2);
    let client = builder().retry(retry).build_with(service.clone()).unwrap();
    (client, service)
}

/// A service that is never ready.
#[derive(Clone)]
pub(crate) struct NeverReady;

impl Service<Request<Full<Bytes>>> for NeverReady {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}
