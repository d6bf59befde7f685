use crate::wait::Wake;

/// A change of the limit by the end of a call. It is logged once the lock is released, since a
/// subscriber runs foreign code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Events {
    /// Says whom it concerns. A limit that grows has room for who waits, though no permit came back
    /// yet.
    pub(super) fn wake(self) -> Wake {
        match self.after > self.before {
            true => Wake::NextIfAwaited,
            false => Wake::Nothing,
        }
    }

    /// Tells it as an event of the crate `tracing`, if the feature of that name is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(self) {
        if self.after != self.before {
            let Self { before, after } = self;
            tracing::debug!(before, after, "the concurrency limit was moved");
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "without the feature nobody listens")]
    pub(super) fn emit(self) {}
}
