use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;

use customerio::packer::Sending;
use customerio::{Cause, Outcome, Request};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::api::Api;
use crate::input::Original;
use crate::interrupt::{Interrupt, Shutdown};

/// What is kept of a record until it is settled.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) original: Option<Original>,
}

/// A chunk whose request is done, and the outcomes.
pub(super) type Done = (Chunk, Vec<Outcome>);

/// Records that are sent in one request, and again if it fails, until each has its outcome.
pub(super) type Chunk = Sending<Tag>;

/// Requests that are queued at the client or in flight, each in a task of its own.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: JoinSet<Done>,
    tasks: HashMap<Id, Task>,
    shutdown: watch::Sender<Shutdown>,
}

/// Requests that have not departed, and their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) requests: u64,
    pub(super) records: u64,
}

#[derive(Debug)]
struct Task {
    records: u64,
    /// How many of the records may have arrived with an earlier request.
    may_have_arrived: u64,
    /// Set by the task when its request departs. Relaxed is enough: the task reads its own writes,
    /// [`Tasks::abort`] reads after it has joined the task, and [`Tasks::departed`] is a snapshot.
    departed: Arc<AtomicBool>,
}

// === impl Tasks ===

impl Tasks {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Returns how many requests have departed.
    pub(super) fn departed(&self) -> usize {
        let tasks = self.tasks.values();
        tasks.filter(|task| task.has_departed()).count()
    }

    /// Returns the requests that wait for a limit, if there are any.
    pub(super) fn queued(&self) -> Option<Queued> {
        let tasks = self.tasks.values().filter(|task| !task.has_departed());
        let queued = tasks.fold(Queued::default(), |queued, task| Queued {
            requests: queued.requests + 1,
            records: queued.records + task.records,
        });
        (queued.requests > 0).then_some(queued)
    }

    /// Spawns a task that sends the chunk.
    pub(super) fn spawn(&mut self, api: impl Api, chunk: Chunk) {
        let request = chunk.request().clone();
        let task = Task {
            records: chunk.len() as u64,
            may_have_arrived: chunk.may_have_arrived() as u64,
            departed: Arc::default(),
        };
        let departed = Arc::clone(&task.departed);
        let interrupt = Interrupt::new(self.shutdown.subscribe());
        let handle = self
            .set
            .spawn(async move { (chunk, send(api, request, departed, interrupt).await) });
        self.tasks.insert(handle.id(), task);
    }

    /// Waits until any request is done; returns nothing if there is none. Dropping the future loses
    /// nothing.
    pub(super) async fn next_done(&mut self) -> Option<Result<Done, JoinError>> {
        let done = self.set.join_next_with_id().await?;
        Some(done.map(|(id, done)| {
            self.tasks.remove(&id);
            done
        }))
    }

    /// Cancels the requests that have not departed. They are done at once, as not sent. Requests in
    /// flight go on.
    pub(super) fn cancel_queued(&self) {
        self.shutdown.send_replace(Shutdown::Drain);
    }

    /// Aborts all requests. Returns how many of their records may have arrived.
    pub(super) async fn abort(mut self) -> u64 {
        // Until a task has ended, its request may still depart: join all before reading the flags.
        self.set.shutdown().await;
        let tasks = self.tasks.values();
        tasks.map(Task::records_that_may_have_arrived).sum()
    }
}

// === impl Task ===

impl Task {
    fn has_departed(&self) -> bool {
        self.departed.load(Relaxed)
    }

    fn records_that_may_have_arrived(&self) -> u64 {
        match self.has_departed() {
            true => self.records,
            false => self.may_have_arrived,
        }
    }
}

/// Sends a request, unless it is canceled before it departs.
async fn send(
    api: impl Api,
    request: Request,
    departed: Arc<AtomicBool>,
    mut interrupt: Interrupt,
) -> Vec<Outcome> {
    let records = request.len();
    let mut sending = pin!(api.send(request, Arc::clone(&departed)));
    tokio::select! {
        biased;
        () = interrupt.requested(Shutdown::Drain) => {}
        outcomes = &mut sending => return outcomes,
    }
    // After the cancellation, an attempt in flight is awaited. If it is throttled or never reached
    // the server, the client clears `departed`, and no further attempt is made.
    poll_fn(|cx| {
        let canceled = || Poll::Ready(vec![Outcome::NotSent(Cause::stopped()); records]);
        if !departed.load(Relaxed) {
            return canceled();
        }
        match sending.as_mut().poll(cx) {
            Poll::Pending if !departed.load(Relaxed) => canceled(),
            polled => polled,
        }
    })
    .await
}
