//! Records every attempt below the layers, as hyper's client sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use tokio::time::Instant;
use tower::Service;
use tower_pace::Replay;

use crate::support::{HyperClient, now};

/// One attempt that departed.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Method, path and body. Attempts at the same request have the same.
    pub(crate) request: (Method, String, Bytes),
    pub(crate) may_replay: bool,
    pub(crate) sent: Instant,
    pub(crate) end: End,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The caller gave it up.
    Abandoned,
    Answered {
        at: Instant,
        status: u16,
        retry_after: Option<Duration>,
    },
    /// The connection broke.
    Broken { at: Instant },
}

impl Attempt {
    /// Returns whether it ended without a success.
    pub(crate) fn failed(&self) -> bool {
        !matches!(
            self.end,
            End::Answered {
                status: 200 | 207,
                ..
            }
        )
    }

    /// Returns whether the server throttled it, so that it had no effect.
    pub(crate) fn was_throttled(&self) -> bool {
        matches!(self.end, End::Answered { status: 429, .. })
    }

    /// Returns the time at which its response closes the gate, and the time at which the gate
    /// opens.
    pub(crate) fn gate(&self) -> Option<(Instant, Instant)> {
        match self.end {
            End::Answered {
                at,
                status: 429 | 503,
                retry_after: Some(pause),
            } => Some((at, at + pause)),
            _ => None,
        }
    }

    /// Returns when it ended. `None` if the caller gave it up.
    pub(crate) fn ended(&self) -> Option<Instant> {
        match self.end {
            End::Answered { at, .. } | End::Broken { at } => Some(at),
            End::Abandoned => None,
        }
    }
}

/// A hyper client that records every attempt.
#[derive(Clone)]
pub(crate) struct Recorder {
    client: HyperClient,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

impl Recorder {
    pub(crate) fn new(client: HyperClient) -> Self {
        Self {
            client,
            attempts: Arc::default(),
        }
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().expect("no test panics here").clone()
    }
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

impl Service<Request<Full<Bytes>>> for Recorder {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.client, cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ResponseFuture {
        let (recorder, mut client) = (self.clone(), self.client.clone());
        Box::pin(async move {
            let index = recorder.record(&request).await;
            let result = client.call(request).await;
            recorder.attempts.lock().expect("no test panics here")[index].end = end_of(&result);
            result
        })
    }
}

impl Recorder {
    /// Records an attempt and returns its index.
    async fn record(&self, request: &Request<Full<Bytes>>) -> usize {
        let Ok(body) = request.body().clone().collect().await;
        let body = body.to_bytes();
        let mut attempts = self.attempts.lock().expect("no test panics here");
        attempts.push(Attempt {
            request: (
                request.method().clone(),
                request.uri().path().to_owned(),
                body,
            ),
            may_replay: request.method() != Method::POST
                || request.extensions().get::<Replay>().is_some(),
            sent: now(),
            end: End::Abandoned,
        });
        attempts.len() - 1
    }
}

fn end_of(result: &Result<Response<Incoming>, Error>) -> End {
    match result {
        Ok(response) => End::Answered {
            at: now(),
            status: response.status().as_u16(),
            retry_after: response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
        },
        Err(_) => End::Broken { at: now() },
    }
}
