use std::time::Duration;

use crate::line::Wake;

/// What happened to a limit. It is told once the lock is released, since whoever listens runs foreign code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// A refusal closed the gate for so long.
    pub(super) closed: Option<Duration>,
    /// The server's word changed the time between two departures.
    pub(super) learned: Option<Duration>,
    /// Requests without an answer take the whole limit.
    pub(super) starved: bool,
    /// Who waits may leave earlier than it was told, for all that is known.
    pub(super) hastened: bool,
}

impl News {
    /// Says whom it concerns: whoever set a timer for its departure may be too late with it.
    pub(super) fn wake(self) -> Wake {
        match (self.learned, self.hastened) {
            (Some(_), _) => Wake::All,
            (None, true) => Wake::Always,
            (None, false) => Wake::IfAwaited,
        }
    }

    /// Tells it as events of the crate `tracing`, if the feature of that name is on.
    #[cfg(feature = "tracing")]
    pub(super) fn tell(self) {
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
    pub(super) fn tell(self) {}
}
