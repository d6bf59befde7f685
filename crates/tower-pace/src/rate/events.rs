use std::time::Duration;

use crate::wait::Wake;

/// The changes of a limit by one response. They are emitted after the lock is released, since a
/// subscriber of `tracing` can run any code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// A throttled response closed the gate for this time.
    pub(super) closed: Option<Duration>,
    /// A limit that the server stated changed the interval to this one.
    pub(super) learned: Option<Duration>,
    /// Requests without a response take the whole limit.
    pub(super) exhausted: bool,
    /// Some waiters may depart before their timers fire.
    pub(super) is_sooner: bool,
}

impl Events {
    /// Returns the waiters to wake. A waiter with a timer is woken only if it may depart before it.
    pub(super) fn wake(self) -> Wake {
        match (self.learned, self.is_sooner) {
            (Some(_), _) => Wake::All,
            (None, true) => Wake::Next,
            (None, false) => Wake::NextIfAwaited,
        }
    }

    /// Emits events of the crate `tracing`, if the feature of that name is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(self) {
        if let Some(time) = self.closed {
            tracing::info!(
                ?time,
                "the server throttled a request: the gate is closed for this time"
            );
        }
        if let Some(interval) = self.learned {
            tracing::info!(
                ?interval,
                "the server stated another limit: requests depart at this interval"
            );
        }
        if self.exhausted {
            tracing::warn!(
                "requests without a response take the whole limit: the next one departs when \
                 one of them ends; bound their time, or remove Quota::counted_until_answered if \
                 the server counts a request when it arrives"
            );
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) fn emit(self) {}
}
