use crate::wait::Wake;

/// A change of an adaptive limit at the end of a call.
///
/// It is emitted once the lock is released, since a subscriber may run any code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Events {
    /// Returns the waiters that the change concerns. A higher limit has a permit for the next
    /// waiter, before any permit is released.
    pub(super) fn wake(self) -> Wake {
        match self.after > self.before {
            true => Wake::NextIfAwaited,
            false => Wake::Nothing,
        }
    }

    /// Emits an event of the crate `tracing`, if the feature `tracing` is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(self) {
        if self.after != self.before {
            let Self { before, after } = self;
            tracing::debug!(before, after, "the concurrency limit was moved");
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) fn emit(self) {}
}
