//! A simulated server whose latency and statuses depend on its load, and the results of its
//! clients.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::support::{get, millis, now, status};

/// The server's reaction to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    /// Answers with this status after this time.
    Answers(u16, Duration),
    /// Sends no answer: the client times out after a second.
    Drops,
}

/// The load of the server when a request arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Requests at the server, with this one.
    pub(crate) active: usize,
    /// Requests that arrived within the last second, without this one.
    pub(crate) recent: usize,
    /// Requests that arrived before this one.
    pub(crate) before: usize,
    /// The time from the start of the run.
    pub(crate) at: Duration,
}

pub(crate) type Behavior = fn(Arrival) -> Reaction;

/// The requests of a run: their number and the interval between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) requests: u32,
    pub(crate) interval: Duration,
}

/// A request that was answered with 200.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Success {
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
}

/// The results of a run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) successes: Vec<Success>,
    pub(crate) errors: usize,
    /// Requests at the server: the most at once, and the mean over time.
    pub(crate) most_active: usize,
    pub(crate) mean_active: f64,
}

impl Run {
    /// Returns the successes per second, up to the last of them.
    pub(crate) fn throughput(&self) -> f64 {
        let last = self.successes.iter().map(|success| success.at).max();
        self.successes.len() as f64 / last.unwrap_or(Duration::MAX).as_secs_f64()
    }

    /// Returns the successes per second in a part of the run, and their mean latency in seconds.
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
pub(crate) struct SimulatedServer {
    behavior: Behavior,
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    active: usize,
    most_active: usize,
    /// The number of requests at the server, integrated over the seconds.
    active_seconds: f64,
    changed: Duration,
    arrivals: Vec<Duration>,
    successes: Vec<Success>,
    errors: usize,
}

impl State {
    fn set_active(&mut self, at: Duration, active: usize) {
        self.active_seconds += self.active as f64 * (at - self.changed).as_secs_f64();
        self.changed = at;
        self.active = active;
        self.most_active = self.most_active.max(active);
    }

    fn record_arrival(&mut self, at: Duration) -> Arrival {
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

impl SimulatedServer {
    pub(crate) fn new(behavior: Behavior) -> Self {
        Self {
            behavior,
            start: now(),
            state: Arc::default(),
        }
    }

    fn at(&self) -> Duration {
        now() - self.start
    }

    fn record_answer(&self, status: u16, arrived: Duration) {
        let (at, mut state) = (self.at(), self.state.lock().unwrap());
        let active = state.active - 1;
        state.set_active(at, active);
        match status {
            200 => state.successes.push(Success {
                at,
                latency: at - arrived,
            }),
            _ => state.errors += 1,
        }
    }

    /// Sends the whole workload through `client` and returns the results.
    pub(crate) async fn drive<S>(&self, workload: Workload, client: S) -> Run
    where
        S: Service<Request<String>> + Clone + Send + 'static,
        S::Future: Send,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..workload.requests {
            let (client, begin) = (client.clone(), self.start + workload.interval * n);
            tasks.spawn(async move {
                tokio::time::sleep_until(begin).await;
                drop(client.oneshot(get()).await);
            });
        }
        tasks.join_all().await;
        let state = self.state.lock().unwrap();
        Run {
            successes: state.successes.clone(),
            errors: state.errors,
            most_active: state.most_active,
            mean_active: state.active_seconds / state.changed.as_secs_f64(),
        }
    }
}

impl Service<Request<String>> for SimulatedServer {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let (server, arrived) = (self.clone(), self.at());
        let mut state = self.state.lock().unwrap();
        let arrival = state.record_arrival(arrived);
        let reaction = (self.behavior)(arrival);
        match reaction {
            Reaction::Answers(..) => state.set_active(arrived, arrival.active),
            Reaction::Drops => state.errors += 1,
        }
        Box::pin(async move {
            match reaction {
                Reaction::Answers(code, after) => {
                    tokio::time::sleep(after).await;
                    server.record_answer(code, arrived);
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
