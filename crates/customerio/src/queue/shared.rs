use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, TryAcquireError, oneshot};

use super::builder::{Settings, WhenFull};
use super::clock;
use super::error::{NotEnqueued, Reason};
use super::receipt::Receipt;
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
}

impl Shared {
    pub(super) fn new(client: Client, settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let (len, bytes) = settings.room();
        Self {
            state: Mutex::new(State::new(Arc::clone(&settings), clock::now())),
            worker: Notify::new(),
            changed: Notify::new(),
            room_len: Semaphore::new(len),
            room_bytes: Semaphore::new(bytes),
            client,
            settings,
        }
    }

    /// Changes the state. Receipts, waiters and the worker are woken once the lock is released.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, effects) = {
            // A panic in another thread comes from a defect of this crate. The receipts are then
            // settled as far as possible, instead of a panic in each of them.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (change(&mut state), state.take_effects())
        };
        self.apply(effects);
        result
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
        for recall in effects.recalls {
            recall.notify_one();
        }
        if effects.has_closed {
            self.room_bytes.close();
            self.room_len.close();
        }
        if effects.wakes_worker {
            self.worker.notify_one();
        }
        if effects.has_changed {
            self.changed.notify_waiters();
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
            let drops = reason == Reason::Full && self.settings.when_full == WhenFull::DropOldest;
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

    /// Inserts an operation for which room was acquired.
    fn insert(
        self: &Arc<Self>,
        operation: Operation,
        priority: Priority,
    ) -> Result<Receipt, NotEnqueued> {
        let (sender, outcome) = oneshot::channel();
        // Outside the lock: it copies the bytes.
        let operation = operation.compacted();
        let inserted = self.update(|state| {
            let now = clock::now();
            state.enqueue(operation, priority, sender, now)
        });
        match inserted {
            Ok(number) => Ok(Receipt {
                outcome,
                shared: Arc::clone(self),
                number,
            }),
            // The queue was closed after the room was acquired. No one else needs the room.
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
