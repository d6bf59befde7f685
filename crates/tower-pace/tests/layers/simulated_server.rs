//! A server whose latency and temper depend on its load, and what it and its clients saw.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::server::{get, millis, now, status};

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    Answers(u16, Duration),
    /// Silence, until the client gives up after a second.
    Drops,
}

/// What a server sees when a request comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// How many are at the server, with this one.
    pub(crate) active: usize,
    /// How many came within the last second, without this one.
    pub(crate) recent: usize,
    /// How many came before it.
    pub(crate) before: usize,
    /// When it came, from the start.
    pub(crate) at: Duration,
}

pub(crate) type Law = fn(Arrival) -> Reaction;

/// How the requests come: so many, so far apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) requests: u32,
    pub(crate) interval: Duration,
}

/// A request that was answered well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Success {
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) successes: Vec<Success>,
    pub(crate) errors: usize,
    /// How many were at the server: at most, and on the mean over time.
    pub(crate) most_active: usize,
    pub(crate) mean_active: f64,
}

impl Run {
    /// Successes a second, up to the last of them.
    pub(crate) fn throughput(&self) -> f64 {
        let last = self.successes.iter().map(|success| success.at).max();
        self.successes.len() as f64 / last.unwrap_or(Duration::MAX).as_secs_f64()
    }

    /// Successes a second, and their mean latency in seconds, of a part of the run.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> (f64, f64) {
        let successes = self.successes.iter();
        let part: Vec<_> = successes
            .filter(|success| (from..to).contains(&success.at))
            .collect();
        let latency: f64 = part
            .iter()
            .map(|success| success.latency.as_secs_f64())
            .sum();
        let count = part.len() as f64;
        (count / (to - from).as_secs_f64(), latency / count)
    }

    pub(crate) fn mean_latency(&self) -> f64 {
        self.between(Duration::ZERO, Duration::MAX).1
    }
}

#[derive(Clone)]
pub(crate) struct Load {
    law: Law,
    start: Instant,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    active: usize,
    most_active: usize,
    /// Requests at the server, by seconds.
    active_seconds: f64,
    changed: Duration,
    arrivals: Vec<Duration>,
    successes: Vec<Success>,
    errors: usize,
}

impl Books {
    fn change(&mut self, at: Duration, active: usize) {
        self.active_seconds += self.active as f64 * (at - self.changed).as_secs_f64();
        self.changed = at;
        self.active = active;
        self.most_active = self.most_active.max(active);
    }

    fn arrive(&mut self, at: Duration) -> Arrival {
        let since = at.saturating_sub(millis(1_000));
        let recent = self
            .arrivals
            .iter()
            .rev()
            .take_while(|&&arrival| arrival > since || arrival == at);
        let recent = recent.count();
        let before = self.arrivals.len();
        self.arrivals.push(at);
        Arrival {
            active: self.active + 1,
            recent,
            before,
            at,
        }
    }
}

impl Load {
    pub(crate) fn new(law: Law) -> Self {
        Self {
            law,
            start: now(),
            books: Arc::default(),
        }
    }

    fn at(&self) -> Duration {
        now() - self.start
    }

    fn answer(&self, status: u16, came: Duration) {
        let (at, mut books) = (self.at(), self.books.lock().unwrap());
        let active = books.active - 1;
        books.change(at, active);
        match status {
            200 => books.successes.push(Success {
                at,
                latency: at - came,
            }),
            _ => books.errors += 1,
        }
    }

    /// Sends all that the source has through the client, and returns what was seen.
    pub(crate) async fn drive<S>(&self, source: Source, client: S) -> Run
    where
        S: Service<Request<String>> + Clone + Send + 'static,
        S::Future: Send,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..source.requests {
            let (client, begin) = (client.clone(), self.start + source.interval * n);
            tasks.spawn(async move {
                tokio::time::sleep_until(begin).await;
                drop(client.oneshot(get()).await);
            });
        }
        tasks.join_all().await;
        let books = self.books.lock().unwrap();
        Run {
            successes: books.successes.clone(),
            errors: books.errors,
            most_active: books.most_active,
            mean_active: books.active_seconds / books.changed.as_secs_f64(),
        }
    }
}

impl Service<Request<String>> for Load {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let (load, came) = (self.clone(), self.at());
        let mut books = self.books.lock().unwrap();
        let arrival = books.arrive(came);
        let reaction = (self.law)(arrival);
        match reaction {
            Reaction::Answers(..) => books.change(came, arrival.active),
            Reaction::Drops => books.errors += 1,
        }
        Box::pin(async move {
            match reaction {
                Reaction::Answers(code, after) => {
                    tokio::time::sleep(after).await;
                    load.answer(code, came);
                    Ok(status(code))
                }
                Reaction::Drops => {
                    tokio::time::sleep(millis(1_000)).await;
                    Err("timed out")
                }
            }
        })
    }
}
