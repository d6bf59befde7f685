//! An API that applies operations and answers as a test says.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use customerio::client::{ClientBuilder, Limits, RetryPolicy};
use customerio::queue::{Queue, QueueBuilder};
use customerio::{Attributes, Client, Operation};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tokio::time::Instant;
use tower::Service;

use crate::scripted_service::{builder, now};
use crate::support::person;

/// An operation as the API reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Op {
    /// The person; for a merge, the primary one.
    pub(super) person: String,
    pub(super) number: u64,
    pub(super) is_merge: bool,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) delay: Duration,
    pub(super) applies: bool,
    /// The positions of the operations that are not applied.
    pub(super) rejected: Vec<usize>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Answer(u16, String),
    Throttle(u64),
    Reset,
    Refused,
    Hang,
}

impl Reply {
    pub(super) fn ok() -> Self {
        Self::of(200, "{}")
    }

    pub(super) fn of(status: u16, body: &str) -> Self {
        Self {
            delay: Duration::from_millis(20),
            applies: (200..300).contains(&status),
            rejected: rejected(status, body),
            end: End::Answer(status, body.to_owned()),
        }
    }

    pub(super) fn end(end: End) -> Self {
        Self {
            delay: Duration::from_millis(20),
            applies: false,
            rejected: Vec::new(),
            end,
        }
    }

    pub(super) fn applied(mut self) -> Self {
        self.applies = true;
        self
    }

    /// Applies all operations, except those at some positions.
    pub(super) fn applied_except(self, rejected: Vec<usize>) -> Self {
        Self {
            applies: true,
            rejected,
            ..self
        }
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) ops: Vec<Op>,
}

type Answer = dyn FnMut(&[Op]) -> Reply + Send;

#[derive(Clone)]
pub(super) struct Api(Arc<Mutex<State>>);

struct State {
    started: Instant,
    answer: Box<Answer>,
    seen: Vec<Seen>,
    /// Whether requests are kept in `seen`.
    keeps: bool,
    /// For each person, the numbers in the order of their applications. A request that is sent
    /// again applies them again.
    applied: HashMap<String, Vec<u64>>,
    requests: usize,
    in_flight: usize,
    most_in_flight: usize,
}

#[derive(Deserialize)]
struct Body {
    batch: Option<Vec<Item>>,
    #[serde(flatten)]
    single: Item,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    identifiers: Identifiers,
    primary: Identifiers,
    attributes: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identifiers {
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Number {
    n: u64,
}

impl Api {
    pub(super) fn new(answer: impl FnMut(&[Op]) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            started: now(),
            answer: Box::new(answer),
            seen: Vec::new(),
            keeps: true,
            applied: HashMap::new(),
            requests: 0,
            in_flight: 0,
            most_in_flight: 0,
        })))
    }

    /// Answers with these replies in order, then accepts.
    pub(super) fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies = replies.into_iter().collect::<Vec<_>>().into_iter();
        Self::new(move |_| replies.next().unwrap_or_else(Reply::ok))
    }

    pub(super) fn accepting() -> Self {
        Self::new(|_| Reply::ok())
    }

    pub(super) fn without_log(self) -> Self {
        self.0.lock().unwrap().keeps = false;
        self
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(|builder| builder)
    }

    pub(super) fn client_with(
        &self,
        settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Client {
        let builder = builder()
            .limits(Limits::documented())
            .retry(RetryPolicy::default().attempts(2).throttled(2))
            .jitter_seed(1);
        settings(builder).build_with(self.clone()).unwrap()
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue_with(|queue| queue)
    }

    /// Creates a queue and spawns its worker.
    pub(super) fn queue_with(&self, settings: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Queue {
        let (queue, worker) = settings(Queue::builder(&self.client())).build();
        tokio::spawn(worker);
        queue
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }

    /// Returns the numbers of the operations of each request.
    pub(super) fn numbers(&self) -> Vec<Vec<u64>> {
        let numbers = |seen: Seen| seen.ops.iter().map(|op| op.number).collect();
        self.seen().into_iter().map(numbers).collect()
    }

    pub(super) fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.0.lock().unwrap().most_in_flight
    }

    pub(super) fn applied(&self) -> HashMap<String, Vec<u64>> {
        self.0.lock().unwrap().applied.clone()
    }

    async fn answer(self, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
        let Ok(body) = request.into_body().collect().await;
        let ops = read(&body.to_bytes());
        let reply = {
            let mut state = self.0.lock().unwrap();
            state.requests += 1;
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            if state.keeps {
                let at = now() - state.started;
                let ops = ops.clone();
                state.seen.push(Seen { at, ops });
            }
            (state.answer)(&ops)
        };
        let _in_flight = InFlight(self.0.clone());
        tokio::time::sleep(reply.delay).await;
        if reply.applies {
            self.apply(&ops, &reply.rejected);
        }
        match reply.end {
            End::Answer(status, body) => Ok(Response::builder()
                .status(status)
                .body(Full::from(body))
                .unwrap()),
            End::Throttle(seconds) => Ok(Response::builder()
                .status(429)
                .header("retry-after", seconds)
                .body(Full::default())
                .unwrap()),
            End::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            End::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            End::Hang => std::future::pending().await,
        }
    }

    /// Applies operations, except those at the positions of `rejected`.
    fn apply(&self, ops: &[Op], rejected: &[usize]) {
        let mut state = self.0.lock().unwrap();
        for (position, op) in ops.iter().enumerate() {
            if rejected.contains(&position) || op.is_merge {
                continue;
            }
            let applied = state.applied.entry(op.person.clone()).or_default();
            applied.push(op.number);
        }
    }
}

struct InFlight(Arc<Mutex<State>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_flight -= 1;
    }
}

fn read(body: &[u8]) -> Vec<Op> {
    let body: Body = serde_json::from_slice(body).unwrap();
    let items = body.batch.unwrap_or_else(|| vec![body.single]);
    let op = |item: Item| Op {
        is_merge: !item.primary.id.is_empty(),
        person: item.identifiers.id + &item.primary.id,
        number: item.attributes.n,
    };
    items.into_iter().map(op).collect()
}

/// Returns the positions in the item errors of a 207.
fn rejected(status: u16, body: &str) -> Vec<usize> {
    if status != 207 {
        return Vec::new();
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let errors = body["errors"].as_array().unwrap();
    let position = |error: &serde_json::Value| error["batch_index"].as_u64().unwrap() as usize;
    errors.iter().map(position).collect()
}

impl Service<Request<Full<Bytes>>> for Api {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// Enqueues an operation for each of some people, with their numbers.
pub(super) async fn enqueue_for_each(queue: &Queue, people: Range<u64>) {
    for number in people {
        let operation = op(&number.to_string(), number);
        queue.enqueue(operation).await.unwrap();
    }
}

/// Returns an identify of a person with a number.
pub(super) fn op(id: &str, number: u64) -> Operation {
    let mut attributes = Attributes::new();
    attributes.insert("n", number).unwrap();
    Operation::identify(&person(id), &attributes).unwrap()
}
