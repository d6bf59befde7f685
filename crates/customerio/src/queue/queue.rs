use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::builder::{QueueBuilder, WhenFull};
use super::clock;
use super::error::NotEnqueued;
use super::receipt::Receipt;
use super::shared::Shared;
#[cfg(feature = "spool")]
use super::spool::{DeadLetter, SpoolError};
use super::state::State;
use super::stats::{Counts, Stats, StatsWatcher};
use super::worker::Worker;
use crate::packer::Priority;
use crate::{Client, Event, Operation};

/// A handle of a queue that sends operations in batches, in order for each person.
///
/// Cloning is cheap; clones share the queue. See the [module](super) for an example.
#[derive(Clone)]
pub struct Queue {
    handles: Arc<Handles>,
    priority: Priority,
}

/// Closes the queue once the last handle is dropped.
struct Handles(Arc<Shared>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.update(|state| state.close(clock::now()));
    }
}

/// The operations that a [drain](Queue::drain) settled, by their outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Operations that the API accepted.
    pub accepted: u64,
    /// Operations that the API rejected.
    pub rejected: u64,
    /// Operations with an unknown outcome, such as those in flight at the deadline.
    pub unknown: u64,
    /// Operations that were not sent before the deadline.
    pub not_sent: u64,
    /// Operations that the spool keeps for the next queue. Those that were in flight may have been
    /// applied.
    pub kept: u64,
}

impl Drained {
    /// Returns whether each operation was accepted or rejected before the deadline.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unknown == 0 && self.not_sent == 0 && self.kept == 0
    }
}

/// Creating a queue.
impl Queue {
    /// Creates a queue with the default settings, and its worker. Spawn the worker.
    ///
    /// The queue sends through `client` and shares its limits. The client's `deadline` and
    /// `max_server_pause` do not apply: [`max_age`](QueueBuilder::max_age) and
    /// [`drain`](Self::drain) bound the time of an operation.
    #[must_use = "the queue sends nothing until its worker is spawned"]
    pub fn new(client: &Client) -> (Self, Worker) {
        Self::builder(client).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder(client: &Client) -> QueueBuilder {
        QueueBuilder::new(client)
    }

    pub(super) fn new_handle(shared: &Arc<Shared>) -> Self {
        Self {
            handles: Arc::new(Handles(Arc::clone(shared))),
            priority: Priority::Normal,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handles.0
    }
}

/// Enqueuing.
impl Queue {
    /// Enqueues an operation behind the earlier ones on the same person. If the queue is full, it
    /// does what [`when_full`](QueueBuilder::when_full) says.
    ///
    /// On a spool, it returns once the operation is on disk.
    ///
    /// Dropping the future while it waits for room enqueues nothing. While it waits for the disk,
    /// the operation is enqueued all the same, unless the disk fails.
    ///
    /// # Errors
    ///
    /// The queue is full and does not wait, it is closed, or the disk is full or has failed. The
    /// error contains the operation.
    pub async fn enqueue(&self, operation: Operation) -> Result<Receipt, NotEnqueued> {
        let mut receipt = match self.shared().settings.when_full {
            WhenFull::Wait => {
                let shared = self.shared();
                shared.enqueue_waiting(operation, self.priority).await?
            }
            WhenFull::Reject | WhenFull::DropOldest => self.try_enqueue(operation)?,
        };
        receipt.durable().await?;
        Ok(receipt)
    }

    /// Enqueues an operation as [`enqueue`](Self::enqueue) does, and never waits. It needs no
    /// runtime. On a spool, [`Receipt::durable`] says when the operation is on disk.
    ///
    /// # Errors
    ///
    /// The queue is full or closed. The error contains the operation.
    pub fn try_enqueue(&self, operation: Operation) -> Result<Receipt, NotEnqueued> {
        self.shared().try_enqueue(operation, self.priority)
    }

    /// Returns a handle that enqueues with another priority.
    ///
    /// A person's operations always keep their order. A person whose operations wait with different
    /// priorities has the highest of them.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self {
            handles: Arc::clone(&self.handles),
            priority,
        }
    }

    /// Adds to an event what it needs in a queue: a new id if it has none, so that it can be sent
    /// again and in a batch, and the time now if it has none, since it may be sent later.
    ///
    /// ```
    /// # use customerio::{Client, Event, Operation, Person};
    /// # use customerio::queue::Queue;
    /// # let (queue, worker) = Queue::new(&Client::disabled());
    /// let event = queue.stamp(Event::new("ordered")?);
    /// let receipt = queue.try_enqueue(Operation::event(&Person::id("u1")?, &event)?)?;
    /// # drop((receipt, worker));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stamp(&self, event: Event) -> Event {
        let event = match (event.timestamp, clock::wall_time()) {
            (None, Some(now)) => event.timestamp(now),
            _ => event,
        };
        match event.id {
            Some(_) => event,
            None => self.shared().client.with_id(&event),
        }
    }
}

/// Control.
impl Queue {
    /// Sends the operations that are enqueued now without waiting for full batches, and waits until
    /// each has its outcome. Later ones are not waited for.
    ///
    /// It lasts as long as an outage or a pause does. Dropping the future ends only the wait.
    pub async fn flush(&self) {
        let before = self.shared().flush();
        let is_flushed = |state: &mut State| state.is_flushed(before).then_some(());
        self.shared().wait_until(is_flushed).await;
    }

    /// Closes the queue, sends what is in it, and waits for the worker's end, at most for
    /// `deadline` from now. Then the rest is settled: as unknown if it has departed, and as not
    /// sent otherwise. The worker need not be polled for that. A request that it polls at that
    /// moment counts as departed, and no other one departs afterwards. A spool keeps the rest for
    /// the next queue; the deadline is followed by the time to write the outcomes.
    ///
    /// A paused queue sends, too. Dropping the future leaves the queue closed and without a
    /// deadline.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let shared = self.shared();
        let before = shared.update(|state| {
            let counts = state.counts();
            state.close(clock::now());
            counts
        });
        let ended = || {
            shared.wait_until(|state| match state.is_over() {
                true => Some(state.counts()),
                false => None,
            })
        };
        let after = match timeout(deadline, ended()).await {
            Ok(counts) => counts,
            Err(_) => {
                shared.update(State::end);
                ended().await
            }
        };
        Drained::between(before, after)
    }

    /// Cancels all operations that have not departed. Each receipt is settled as not sent, with
    /// [`Cause::is_canceled`](crate::Cause::is_canceled). Operations that are enqueued after the
    /// call are not canceled. On a disk that is full, those that are only on disk are not canceled
    /// either.
    ///
    /// An operation in flight is awaited, but not sent again after a failure.
    pub fn clear(&self) {
        self.shared().clear();
    }

    /// Lets no request depart until [`resume`](Self::resume), not even one that waits for the rate
    /// limit or the server; one in flight is awaited, with the client's retries.
    pub fn pause(&self) {
        self.shared()
            .update(|state| state.pause(true, clock::now()));
    }

    /// Ends a [`pause`](Self::pause). In an outage, the next probe departs at once.
    pub fn resume(&self) {
        self.shared()
            .update(|state| state.pause(false, clock::now()));
    }

    /// Waits until each operation has its outcome.
    pub async fn on_idle(&self) {
        let is_idle = |state: &mut State| state.is_idle().then_some(());
        self.shared().wait_until(is_idle).await;
    }

    /// Waits until fewer than `operations` wait, not counting operations in requests. With
    /// 0, it returns once none waits.
    pub async fn on_size_less_than(&self, operations: usize) {
        let is_less = |state: &mut State| (state.size() < operations.max(1)).then_some(());
        self.shared().wait_until(is_less).await;
    }
}

/// Health.
impl Queue {
    /// Returns the state of the queue now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// Subscribes to the state of the queue.
    #[must_use]
    pub fn subscribe(&self) -> StatsWatcher {
        let seen = self.shared().update(|state| state.version());
        StatsWatcher {
            shared: Arc::clone(self.shared()),
            seen,
            is_over: false,
        }
    }
}

/// Dead letters: the operations in the spool that were not accepted.
///
/// A queue in memory has none: each call returns none, and the receipts have the outcomes.
#[cfg(feature = "spool")]
impl Queue {
    /// Returns at most `limit` dead letters with an [`id`](DeadLetter::id) higher than `after`, the
    /// oldest first. Start with 0, and go on with the last id.
    ///
    /// # Errors
    ///
    /// The spool cannot be read, or the queue has ended.
    pub async fn dead_letters(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, SpoolError> {
        match &self.shared().spool {
            Some(spool) => spool.dead_letters(after, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Enqueues dead letters again, behind all other operations. Returns the number of those that
    /// were found.
    ///
    /// One that ended [unknown](super::DeadOutcome::Unknown) may have been applied: look before you
    /// put back what must not be applied twice, such as a merge. Dropping the future undoes
    /// nothing, and leaves out the ids behind the current group of 100.
    ///
    /// # Errors
    ///
    /// The spool cannot be written, or the queue has ended. Some may be enqueued.
    pub async fn put_back(&self, ids: impl IntoIterator<Item = u64>) -> Result<usize, SpoolError> {
        match &self.shared().spool {
            Some(spool) => spool.put_back(ids.into_iter().collect()).await,
            None => Ok(0),
        }
    }

    /// Deletes dead letters. Returns the number of those that were found.
    ///
    /// # Errors
    ///
    /// The spool cannot be written, or the queue has ended.
    pub async fn delete_dead(
        &self,
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<usize, SpoolError> {
        match &self.shared().spool {
            Some(spool) => spool.delete_dead(ids.into_iter().collect()).await,
            None => Ok(0),
        }
    }
}

impl Drained {
    fn between(before: Counts, after: Counts) -> Self {
        Self {
            accepted: after.accepted - before.accepted,
            rejected: after.rejected - before.rejected,
            unknown: after.unknown - before.unknown,
            not_sent: after.not_sent - before.not_sent,
            kept: after.kept - before.kept,
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
