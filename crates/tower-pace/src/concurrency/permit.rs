use std::fmt;
use std::sync::Arc;

use super::state::ConcurrencyState;
use crate::wait::{Queue, Wake};

/// The right to be in flight. Its drop releases it.
#[expect(
    unnameable_types,
    reason = "seals `Until`: how a permit is held may change"
)]
pub struct Permit {
    queue: Arc<Queue<ConcurrencyState>>,
}

impl Permit {
    /// Wraps a permit that was acquired from `queue`.
    #[inline]
    pub(super) fn new(queue: Arc<Queue<ConcurrencyState>>) -> Self {
        Self { queue }
    }

    #[inline]
    pub(super) fn queue(&self) -> &Queue<ConcurrencyState> {
        &self.queue
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.queue.front().word.put_back() {
            self.queue.change(|state, _| {
                state.release();
                Wake::NextIfAwaited
            });
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
