//! What crosses the wire, as the client's side of it sees it.

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

/// One attempt that left.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Method, path and body: what makes two attempts the same request.
    pub(crate) request: (Method, String, Bytes),
    pub(crate) may_replay: bool,
    pub(crate) sent: Instant,
    pub(crate) end: End,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was given up by the caller.
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
    pub(crate) fn failed(&self) -> bool {
        !matches!(
            self.end,
            End::Answered {
                status: 200 | 207,
                ..
            }
        )
    }

    /// Whether the server refused it unread, so that it had no effect.
    pub(crate) fn was_refused(&self) -> bool {
        matches!(self.end, End::Answered { status: 429, .. })
    }

    /// From when until when the server wants no request.
    pub(crate) fn hold(&self) -> Option<(Instant, Instant)> {
        match self.end {
            End::Answered {
                at,
                status: 429 | 503,
                retry_after: Some(pause),
            } => Some((at, at + pause)),
            _ => None,
        }
    }

    pub(crate) fn ended(&self) -> Option<Instant> {
        match self.end {
            End::Answered { at, .. } | End::Broken { at } => Some(at),
            End::Abandoned => None,
        }
    }
}

/// A hyper client that notes every attempt.
#[derive(Clone)]
pub(crate) struct Tap {
    client: HyperClient,
    log: Arc<Mutex<Vec<Attempt>>>,
}

impl Tap {
    pub(crate) fn new(client: HyperClient) -> Self {
        Self {
            client,
            log: Arc::default(),
        }
    }

    pub(crate) fn log(&self) -> Vec<Attempt> {
        self.log.lock().expect("no test panics here").clone()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

impl Service<Request<Full<Bytes>>> for Tap {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.client, cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let (tap, mut client) = (self.clone(), self.client.clone());
        Box::pin(async move {
            let number = tap.note(&request).await;
            let result = client.call(request).await;
            tap.log.lock().expect("no test panics here")[number].end = end_of(&result);
            result
        })
    }
}

impl Tap {
    async fn note(&self, request: &Request<Full<Bytes>>) -> usize {
        let Ok(body) = request.body().clone().collect().await;
        let body = body.to_bytes();
        let mut log = self.log.lock().expect("no test panics here");
        log.push(Attempt {
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
        log.len() - 1
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
