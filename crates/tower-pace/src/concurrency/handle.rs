use std::fmt;
use std::sync::Arc;

use super::state::ConcurrencyState;
use crate::wait::{Queue, Wake};

/// Shows and sets the limit that a layer's services share. The rate limit's handle is
/// [another](crate::Handle).
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

/// What a [`Handle`] shows of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many may be in flight. A limit that adapts shows that of a trial while one runs.
    pub limit: usize,
    /// How many permits are taken: by calls, by bodies that are still to end, and by services that
    /// are ready.
    pub in_flight: usize,
    /// How many wait for a permit, without those that were woken and did not come.
    pub queued: usize,
    /// How many calls were answered. A body may still be to come.
    pub answered: u64,
    /// How many calls failed.
    pub failed: u64,
    /// How many calls were dropped before their answer came.
    pub cancelled: u64,
}

impl Handle {
    pub(super) fn new(queue: Arc<Queue<ConcurrencyState>>) -> Self {
        Self { queue }
    }

    /// Returns what holds now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.queue.with(|state, queued| state.snapshot(queued))
    }

    /// Lets `limit` requests be in flight from now on. What is in flight stays there, even if it is
    /// more. A limit that adapts goes on from `limit`, or from the nearer of its bounds; a trial
    /// that runs ends without a result.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero and the limit does not adapt: it would let nothing through.
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
