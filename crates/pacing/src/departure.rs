use crate::unit::Load;
use crate::{Cost, Moment};

/// A request that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "tell the limiter how the request ended"]
pub struct Departure {
    pub(crate) sent: Moment,
    /// The cost of all departures up to this one. It wraps.
    pub(crate) total: u64,
    /// It wraps.
    pub(crate) number: u32,
    pub(crate) cost: Cost,
    /// What was unanswered before it, in requests and in cost.
    pub(crate) before: (u32, u32),
}

impl Departure {
    /// Returns what had left within `max_transit` before it and was unanswered.
    pub(crate) fn unanswered(self) -> Load {
        Load {
            requests: self.before.0.into(),
            cost: self.before.1.into(),
        }
    }
}
