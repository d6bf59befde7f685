use crate::Moment;
use crate::moment::Span;
use crate::recovery::Share;
use crate::unit::Load;

/// The state of the limiter that all its limits share, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) now: Moment,
    pub(crate) share: Share,
    /// When the share rises by itself; none if it is whole.
    pub(crate) share_rises: Option<Moment>,
    /// The typical round trip.
    pub(crate) round_trip: Span,
    /// How much the path is assumed to vary.
    pub(crate) jitter: Span,
    pub(crate) transit: Span,
    /// What left after the latest departure whose answer came.
    pub(crate) unproven: Load,
    /// What left less than the transit ago and is unanswered.
    pub(crate) unanswered: Load,
    /// When the first of it will have left the transit ago.
    pub(crate) unanswered_until: Option<Moment>,
    pub(crate) last_departure: Option<Moment>,
}
