use std::fmt;
use std::sync::Arc;

use super::permits::Permits;
use crate::line::{Queue, Wake};

/// The right to be in flight. Its drop gives it back.
#[expect(
    unnameable_types,
    reason = "seals `Until`: how a permit is held may change"
)]
pub struct Permit {
    queue: Arc<Queue<Permits>>,
}

impl Permit {
    /// Takes a permit without the lock, if there is one and nobody waits.
    #[inline]
    pub(super) fn at_once(queue: &Arc<Queue<Permits>>) -> Option<Self> {
        let taken = queue.front().in_flight.take();
        taken.then(|| Self::claimed(Arc::clone(queue), ()))
    }

    /// Wraps a permit that was just claimed from `queue`.
    pub(super) fn claimed(queue: Arc<Queue<Permits>>, (): ()) -> Self {
        Self { queue }
    }

    pub(super) fn queue(&self) -> &Queue<Permits> {
        &self.queue
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.queue.front().in_flight.give_back() {
            self.queue.change(|permits, _| {
                permits.take_back();
                Wake::IfAwaited
            });
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
