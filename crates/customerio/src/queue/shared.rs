use std::fmt;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, TryAcquireError, oneshot};

use super::builder::{Settings, WhenFull};
use super::clock;
use super::error::{NotEnqueued, Reason};
use super::receipt::{Receipt, Unwritten};
use super::spool::Inbox;
use super::state::{Effects, State, charge};
use super::stats::Stats;
use crate::packer::Priority;
use crate::{Client, Operation};

/// What the handles, the receipts and the worker of a queue share.
pub(super) struct Shared {
    /// Locked for the time of one decision, and never while anything is awaited.
    state: Mutex<State>,
    /// Wakes the worker. Paired with the wait at the end of its loop.
    pub(super) worker: Notify,
    /// Wakes every task in [`wait_until`](Self::wait_until).
    changed: Notify,
    /// A permit for each further operation, and for each byte. Waiting callers get permits in the
    /// order of their calls.
    room_len: Semaphore,
    room_bytes: Semaphore,
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
    /// With a spool, only its writer puts operations into the state, and acquires room for them.
    pub(super) spool: Option<Arc<Inbox>>,
}

impl Shared {
    pub(super) fn new(client: Client, settings: Settings, spool: Option<Arc<Inbox>>) -> Self {
        let settings = Arc::new(settings);
        let (len, bytes) = settings.room();
        Self {
            state: Mutex::new(State::new(
                Arc::clone(&settings),
                spool.as_ref().map(|spool| spool.arriving()),
                clock::now(),
            )),
            worker: Notify::new(),
            changed: Notify::new(),
            room_len: Semaphore::new(len),
            room_bytes: Semaphore::new(bytes),
            client,
            settings,
            spool,
        }
    }

    /// Changes the state. Receipts, waiters and the worker are woken once the lock is released.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, effects) = {
            // A panic in another thread comes from a defect of this crate. The receipts are then
            // settled as far as possible, instead of a panic in each of them.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = change(&mut state);
            let mut effects = state.take_effects();
            if let Some(spool) = &self.spool {
                self.apply_on_disk(spool, &mut effects);
            }
            (result, effects)
        };
        self.apply(effects);
        result
    }

    /// Hands outcomes to the writer of the spool, with the lock held: otherwise another thread
    /// could end the queue in between, and they would be lost. No function of the inbox takes this
    /// lock, and those called here wake no task.
    fn apply_on_disk(&self, spool: &Inbox, effects: &mut Effects) {
        // Before the writer is woken: it loads operations for which it finds room.
        let (len, bytes) = (
            mem::take(&mut effects.room_len),
            mem::take(&mut effects.room_bytes),
        );
        self.room_bytes.add_permits(bytes);
        self.room_len.add_permits(len);
        if !effects.settled.is_empty() {
            spool.settle(mem::take(&mut effects.settled));
        }
        if !effects.held.is_empty() {
            spool.hold(mem::take(&mut effects.held));
        }
        if effects.has_closed {
            spool.shut();
        }
        if effects.has_ended {
            spool.close();
        }
    }

    fn apply(&self, effects: Effects) {
        for (receipt, outcome) in effects.receipts {
            // An error means that the receipt was dropped.
            drop(receipt.send(outcome));
        }
        if effects.room_len > 0 {
            self.room_bytes.add_permits(effects.room_bytes);
            self.room_len.add_permits(effects.room_len);
        }
        for request in effects.recalls {
            request.recall();
        }
        match &self.spool {
            // Its writer needs the room of memory for operations that are still on disk. A caller
            // that gets room of the disk before this hands over nothing: the inbox is shut.
            Some(spool) if effects.has_ended => spool.close_room(),
            None if effects.has_closed => {
                self.room_bytes.close();
                self.room_len.close();
            }
            Some(_) | None => {}
        }
        if effects.wakes_worker {
            self.worker.notify_one();
        }
        if effects.has_changed {
            self.changed.notify_waiters();
        }
        #[cfg(feature = "tracing")]
        if let Some(failed) = effects.failed {
            failed.write();
        }
    }

    /// Waits until `check` returns a value.
    pub(super) async fn wait_until<T>(&self, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the check, so that no change after it is missed.
            changed.as_mut().enable();
            if let Some(value) = self.update(&mut check) {
                return value;
            }
            changed.await;
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let now = clock::now();
        self.update(|state| state.stats(&self.client, now))
    }

    pub(super) fn try_enqueue(
        self: &Arc<Self>,
        operation: Operation,
        priority: Priority,
    ) -> Result<Receipt, NotEnqueued> {
        if let Some(spool) = &self.spool {
            return match spool.try_acquire(&operation) {
                Ok(()) => self.write(spool, operation, priority),
                Err(reason) => Err(NotEnqueued { operation, reason }),
            };
        }
        let charge = charge(&operation);
        loop {
            let reason = match self.room_bytes.try_acquire_many(charge) {
                Ok(bytes) => match self.room_len.try_acquire() {
                    Ok(one) => {
                        bytes.forget();
                        one.forget();
                        return self.insert(operation, priority);
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let reason = match reason {
                TryAcquireError::Closed => Reason::Closed,
                TryAcquireError::NoPermits => Reason::Full,
            };
            let is_full = matches!(reason, Reason::Full);
            let drops = is_full && self.settings.when_full == WhenFull::DropOldest;
            // Each round drops one operation, so the loop ends.
            if !drops || !self.update(State::drop_oldest) {
                return Err(NotEnqueued { operation, reason });
            }
        }
    }

    /// Waits for room, in the order of the calls.
    pub(super) async fn enqueue_waiting(
        self: &Arc<Self>,
        operation: Operation,
        priority: Priority,
    ) -> Result<Receipt, NotEnqueued> {
        if let Some(spool) = &self.spool {
            if spool.acquire(&operation).await {
                return self.write(spool, operation, priority);
            }
            let reason = spool.closed_reason();
            return Err(NotEnqueued { operation, reason });
        }
        // Dropping this future gives both back: nothing is forgotten before both are there.
        let charge = charge(&operation);
        let room = async {
            let bytes = self.room_bytes.acquire_many(charge).await?;
            let one = self.room_len.acquire().await?;
            bytes.forget();
            one.forget();
            Ok::<_, tokio::sync::AcquireError>(())
        };
        match room.await {
            Ok(()) => self.insert(operation, priority),
            Err(_) => Err(NotEnqueued {
                operation,
                reason: Reason::Closed,
            }),
        }
    }

    /// Hands an operation, for which room was acquired, to the writer of the spool.
    fn write(
        self: &Arc<Self>,
        spool: &Inbox,
        operation: Operation,
        priority: Priority,
    ) -> Result<Receipt, NotEnqueued> {
        let (receipt, outcome) = oneshot::channel();
        let (durable, written) = oneshot::channel();
        if let Some(number) = spool.push(operation.clone(), priority, receipt, durable) {
            return Ok(Receipt {
                outcome,
                shared: Arc::clone(self),
                number,
                unwritten: Some(Unwritten::new(written, operation).into()),
            });
        }
        // The queue was closed after the room was acquired. No other operation needs the room.
        let reason = spool.closed_reason();
        Err(NotEnqueued { operation, reason })
    }

    /// Acquires room in memory for an operation from disk. Returns whether there is room.
    #[cfg(feature = "spool")]
    pub(super) fn acquire_memory(&self, operation: &Operation) -> bool {
        let Ok(bytes) = self.room_bytes.try_acquire_many(charge(operation)) else {
            return false;
        };
        let Ok(one) = self.room_len.try_acquire() else {
            return false;
        };
        bytes.forget();
        one.forget();
        true
    }

    /// Releases the room of an operation that was not enqueued.
    #[cfg(feature = "spool")]
    pub(super) fn release_memory(&self, operation: &Operation) {
        self.room_bytes.add_permits(charge(operation) as usize);
        self.room_len.add_permits(1);
    }

    /// Returns whether a quarter of the memory is free. With less, each settled request would load
    /// a few operations, with a read of the disk for each.
    #[cfg(feature = "spool")]
    pub(super) fn has_memory(&self) -> bool {
        let (len, bytes) = self.settings.room();
        self.room_len.available_permits() > len / 4
            && self.room_bytes.available_permits() > bytes / 4
    }

    /// Cancels an operation, also if it is only on disk.
    pub(super) fn cancel(&self, number: u64) {
        let is_in_memory = self.update(|state| state.cancel(number));
        if let (false, Some(spool)) = (is_in_memory, &self.spool) {
            spool.cancel(number);
        }
    }

    /// Cancels all operations that have not departed.
    pub(super) fn clear(&self) {
        let before = self.spool.as_ref().map(|spool| spool.next_id());
        self.update(|state| state.clear(before));
        if let (Some(spool), Some(before)) = (&self.spool, before) {
            spool.clear(before);
        }
    }

    /// Starts a flush. Returns the number of the next operation.
    pub(super) fn flush(&self) -> u64 {
        let before = self.spool.as_ref().map(|spool| spool.next_id());
        self.update(|state| state.flush(before))
    }

    /// Inserts an operation for which room was acquired.
    fn insert(
        self: &Arc<Self>,
        operation: Operation,
        priority: Priority,
    ) -> Result<Receipt, NotEnqueued> {
        let (sender, outcome) = oneshot::channel();
        let inserted = self.update(|state| {
            let now = clock::now();
            state.enqueue(operation, priority, sender, now)
        });
        match inserted {
            Ok(number) => Ok(Receipt {
                outcome,
                shared: Arc::clone(self),
                number,
                unwritten: None,
            }),
            // The queue was closed after the room was acquired. No other operation needs the room.
            Err(operation) => Err(NotEnqueued {
                operation,
                reason: Reason::Closed,
            }),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
