use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;

use customerio::{Cause, Outcome, Request};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::api::Api;
use super::part::Part;
use crate::interrupt::{Interrupt, Urgency};

/// What a record is known by until it is settled.
pub(super) type Line = u64;

type Landed = (Part, Vec<Outcome>);

/// Requests on their way, each in a task of its own.
#[derive(Debug, Default)]
pub(super) struct Flights {
    tasks: JoinSet<Landed>,
    aloft: HashMap<Id, Flight>,
    urgency: watch::Sender<Urgency>,
}

#[derive(Debug)]
struct Flight {
    records: u64,
    /// Of the records, those that an earlier request may have brought.
    may_have_arrived: u64,
    has_left: Arc<AtomicBool>,
}

// === impl Flights ===

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns how many requests have left.
    pub(super) fn departed(&self) -> usize {
        self.aloft.values().filter(|flight| flight.left()).count()
    }

    pub(super) fn launch(&mut self, api: impl Api, part: Part) {
        let request = part.request().clone();
        let flight = Flight {
            records: part.records(),
            may_have_arrived: part.may_have_arrived(),
            has_left: Arc::default(),
        };
        let has_left = Arc::clone(&flight.has_left);
        let interrupt = Interrupt::new(self.urgency.subscribe());
        let task = self
            .tasks
            .spawn(async move { (part, fly(api, request, has_left, interrupt).await) });
        self.aloft.insert(task.id(), flight);
    }

    /// Waits for the outcomes of any request; nothing where none is on its way. Dropping the future
    /// loses nothing.
    pub(super) async fn land(&mut self) -> Option<Result<Landed, JoinError>> {
        let landed = self.tasks.join_next_with_id().await?;
        Some(landed.map(|(id, landed)| {
            self.aloft.remove(&id);
            landed
        }))
    }

    /// Turns back the requests that wait for their turn. They land as not sent, and the others are
    /// not disturbed.
    pub(super) fn turn_back(&self) {
        self.urgency.send_replace(Urgency::Drain);
    }

    /// Lets go of all requests. Returns how many records of theirs may have arrived.
    pub(super) async fn abandon(mut self) -> u64 {
        // Only a task that has ended can no longer leave.
        self.tasks.shutdown().await;
        let aloft = self.aloft.values();
        aloft.map(Flight::records_that_may_have_arrived).sum()
    }
}

// === impl Flight ===

impl Flight {
    fn left(&self) -> bool {
        self.has_left.load(Relaxed)
    }

    fn records_that_may_have_arrived(&self) -> u64 {
        match self.left() {
            true => self.records,
            false => self.may_have_arrived,
        }
    }
}

/// Sends a request, unless it is turned back before it has left.
async fn fly(
    api: impl Api,
    request: Request,
    has_left: Arc<AtomicBool>,
    mut interrupt: Interrupt,
) -> Vec<Outcome> {
    let records = request.len();
    let mut sending = pin!(api.send(request, Arc::clone(&has_left)));
    tokio::select! {
        biased;
        () = interrupt.reaches(Urgency::Drain) => {}
        outcomes = &mut sending => return outcomes,
    }
    // An attempt that has left is waited for. Where it is throttled, or never reached the server,
    // no other one follows.
    poll_fn(|cx| {
        let turned_back = || Poll::Ready(vec![Outcome::NotSent(Cause::stopped()); records]);
        if !has_left.load(Relaxed) {
            return turned_back();
        }
        match sending.as_mut().poll(cx) {
            Poll::Pending if !has_left.load(Relaxed) => turned_back(),
            polled => polled,
        }
    })
    .await
}
