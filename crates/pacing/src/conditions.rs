use crate::Moment;
use crate::moment::Span;
use crate::path::Path;
use crate::recovery::Recovery;
use crate::unit::Load;

/// The state of the limiter that all its limits share, at one moment.
///
/// It refers to the state: a limit that nothing slows down reads little of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) now: Moment,
    pub(crate) path: &'a Path,
    pub(crate) recovery: &'a Recovery,
    /// The assumed spread of the transit times.
    pub(crate) jitter: Span,
    pub(crate) transit: Span,
    /// The load that departed less than the transit ago and is unanswered.
    pub(crate) unanswered: Load,
    /// When the first of it will have departed the transit ago.
    pub(crate) unanswered_until: Option<Moment>,
}

impl Conditions<'_> {
    /// Returns the typical round trip.
    pub(crate) fn round_trip(&self) -> Span {
        self.path.round_trip(self.transit)
    }
}
