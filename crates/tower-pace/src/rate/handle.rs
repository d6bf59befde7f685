use std::sync::Arc;
use std::time::Duration;

use pacing::{Group, Moment, Quota};

use super::Snapshot;
use super::state::RateState;
use crate::wait::{Hint, Queue, Wake};

/// Looks at a limit and steers it while it is in use.
///
/// ```
/// use tower_pace::{Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::new(Quota::per_second(100));
/// let handle = layer.handle();
/// handle.set_quota(Quota::per_second(50));
/// assert!(handle.snapshot().rate() < 50.0);
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    queue: Arc<Queue<RateState>>,
}

impl Handle {
    /// Returns the handle of a new limit.
    pub(super) fn of(quota: Quota) -> Self {
        Self {
            queue: Queue::new(RateState::new(quota), Hint::default()),
        }
    }

    /// Returns true if nobody else holds the limit and a new one of `quota` would know as much.
    pub(super) fn is_idle(&self, quota: &Quota) -> bool {
        let is_alone = Arc::strong_count(&self.queue) == 1;
        is_alone
            && self
                .queue
                .look(|state, queued, now| queued == 0 && state.is_idle(quota, now))
    }

    pub(super) fn add_group(&self) -> Group {
        self.queue.add_group()
    }

    pub(super) fn queue(self) -> Arc<Queue<RateState>> {
        self.queue
    }

    /// Returns the state at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.queue
            .look(|state, queued, now| state.snapshot(queued, now))
    }

    /// Holds another quota from now on. What has left is remembered, and counts for the new quota;
    /// see [`Limiter::set_quota`](pacing::Limiter::set_quota).
    pub fn set_quota(&self, quota: Quota) {
        self.change(|state, now| state.set_quota(quota, now));
    }

    /// Holds what a server said of its limit, if that is slower than the configured quota;
    /// otherwise the configured one. Unlike what header fields state, it holds until something else
    /// is said.
    pub fn learn(&self, quota: Quota) {
        self.change(|state, now| state.learn(quota, now));
    }

    /// Lets nothing leave until [`resume`](Self::resume). What waits keeps its place, and its
    /// bounds.
    pub fn pause(&self) {
        self.change(|state, _| state.pause());
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.change(|state, _| state.resume());
    }

    /// Lets nothing leave for `time`, as a rejection that names a time does, but without lowering the
    /// rate. A gate that is closed for longer stays so.
    pub fn penalize(&self, time: Duration) {
        self.change(|state, now| state.penalize(time, now));
    }

    fn change(&self, change: impl FnOnce(&mut RateState, Moment)) {
        self.queue.change(|state, now| {
            change(state, now);
            // Handles change a limit seldom, and the waiters have set their timers by the limit
            // before.
            Wake::All
        });
    }
}
