use crate::Moment;
use crate::moment::Span;
use crate::pacer::Unanswered;
use crate::path::Path;
use crate::recovery::Recovery;
use crate::unit::Load;

/// The state of the limiter that all its limits share, at one moment.
///
/// It refers to the state: a limit that nothing slows down reads little of it. It is passed by
/// value: the usual call then keeps it in registers, where a reference would need it in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) now: Moment,
    pub(crate) path: &'a Path,
    pub(crate) recovery: &'a Recovery,
    /// The assumed spread of the transit times.
    pub(crate) jitter: Span,
    pub(crate) transit: Span,
    /// The load that departed less than the transit ago and is unanswered, if a limit asks for it.
    pub(crate) unanswered: Option<&'a Unanswered>,
}

impl Conditions<'_> {
    /// Returns the load that departed less than the transit ago and is unanswered, if that is known.
    #[inline]
    pub(crate) fn unanswered(self) -> Load {
        self.unanswered.map(Unanswered::load).unwrap_or_default()
    }

    /// Returns the typical round trip.
    #[inline]
    pub(crate) fn round_trip(self) -> Span {
        self.path.round_trip(self.transit)
    }
}
