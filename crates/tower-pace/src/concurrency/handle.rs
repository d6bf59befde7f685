use std::fmt;
use std::sync::Arc;

use super::state::ConcurrencyState;
use crate::wait::{Queue, Wake};

/// A handle on the limit that a layer's services share.
///
/// The rate limit has [its own handle](crate::Handle).
///
/// ```
/// use tower_pace::ConcurrencyLayer;
///
/// let layer = ConcurrencyLayer::new(32);
/// let handle = layer.handle();
/// handle.set_limit(8);
/// assert_eq!(handle.snapshot().limit, 8);
/// ```
#[derive(Clone)]
pub struct Handle {
    queue: Arc<Queue<ConcurrencyState>>,
}

/// The state of a limit at one moment, as a [`Handle`] returns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of requests that may be in flight. While an adaptive limit runs a trial, it is
    /// the limit of the trial.
    pub limit: usize,
    /// The number of permits in use: by calls, by bodies that have not ended, and by services that
    /// are ready.
    pub in_flight: usize,
    /// The number of waiters, without those that were woken and were not polled in time.
    pub queued: usize,
    /// The number of calls that got a response. Its body may not have ended.
    pub answered: u64,
    /// The number of calls that failed.
    pub failed: u64,
    /// The number of calls that were dropped before they got a response.
    pub cancelled: u64,
}

impl Handle {
    pub(super) fn new(queue: Arc<Queue<ConcurrencyState>>) -> Self {
        Self { queue }
    }

    /// Returns the current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.queue.with(|state, queued| state.snapshot(queued))
    }

    /// Sets the number of requests that may be in flight.
    ///
    /// Requests in flight are not cancelled, even if they are more. An adaptive limit continues
    /// from `limit`, or from the nearer of its bounds, and ends a running trial without a result.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero and the limit is fixed: no request could depart.
    pub fn set_limit(&self, limit: usize) {
        self.queue.change(|state, _| {
            state.set_limit(limit);
            Wake::NextIfAwaited
        });
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}
