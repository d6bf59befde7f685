use crate::Moment;
use crate::jitter::Jitter;
use crate::limiter::Unanswered;
use crate::moment::Span;
use crate::path::Path;
use crate::recovery::Recovery;
use crate::unit::Load;

/// The state of a limiter that all its limits share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// The quota's `max_transit`.
    pub(crate) transit: Span,
    pub(crate) path: Path,
    pub(crate) jitter: Jitter,
    pub(crate) recovery: Recovery,
    /// The requests that departed less than the transit ago and are unanswered, if a limit relies
    /// on the server's word.
    pub(crate) unanswered: Option<Unanswered>,
}

/// The shared state at one moment.
///
/// It refers to the state, since a limit that nothing slows down reads little of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) now: Moment,
    pub(crate) shared: &'a Shared,
}

impl Conditions<'_> {
    /// Returns the typical round trip.
    pub(crate) fn round_trip(self) -> Span {
        self.shared.path.round_trip(self.shared.transit)
    }

    /// Returns the assumed spread of the transit times.
    pub(crate) fn jitter(self) -> Span {
        self.shared.jitter.span()
    }

    /// Returns the load that departed less than the transit ago and is unanswered; nothing if no
    /// limit relies on the server's word.
    #[inline]
    pub(crate) fn unanswered(self) -> Load {
        let unanswered = self.shared.unanswered.as_ref();
        unanswered.map(Unanswered::load).unwrap_or_default()
    }
}
