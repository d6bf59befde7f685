use std::time::Duration;

use crate::wait::Wake;

/// What happened to a limit. It is reported after the lock is released, since a subscriber runs
/// foreign code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// A rejection closed the gate for so long.
    pub(super) closed: Option<Duration>,
    /// The server's word changed the time between two departures.
    pub(super) learned: Option<Duration>,
    /// Requests without an answer take the whole limit.
    pub(super) starved: bool,
    /// A waiter may leave before its timer fires.
    pub(super) hastened: bool,
}

impl Events {
    /// Returns whom to wake. A waiter with a timer is woken only if it may leave before that.
    pub(super) fn wake(self) -> Wake {
        match (self.learned, self.hastened) {
            (Some(_), _) => Wake::All,
            (None, true) => Wake::Next,
            (None, false) => Wake::NextIfAwaited,
        }
    }

    /// Emits it as events of the crate `tracing`, if the feature of that name is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(self) {
        if let Some(time) = self.closed {
            tracing::info!(
                ?time,
                "the server refused a request, so nothing leaves for a while"
            );
        }
        if let Some(interval) = self.learned {
            tracing::info!(?interval, "the server stated another limit");
        }
        if self.starved {
            tracing::warn!(
                "requests that wait for their answers take the whole limit, so nothing leaves before one of them ends; \
                 bound their time, or leave out Quota::counted_until_answered if the server counts a request when it arrives"
            );
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "without the feature nobody listens")]
    pub(super) fn emit(self) {}
}
