use crate::unit::Load;
use crate::{Cost, Moment};

/// The record of a request that departed.
///
/// Report its end to the limiter exactly once: see [`Limiter`](crate::Limiter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "report the end of every departure to the limiter"]
pub struct Departure {
    /// The time of the departure.
    pub(crate) sent: Moment,
    /// The cost of all departures up to this one. It wraps.
    pub(crate) total: u64,
    /// The departures of a limiter are numbered. The number wraps.
    pub(crate) number: u32,
    pub(crate) cost: Cost,
    /// The load that was unanswered before it, in requests and in cost. Two `u32` keep the value
    /// small, since callers hold one for each request in flight.
    pub(crate) before: (u32, u32),
}

impl Departure {
    /// Returns the cost of the request, as it was settled last.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// Returns the time of the departure.
    #[must_use]
    pub const fn sent(&self) -> Moment {
        self.sent
    }

    /// Returns the load that had departed within `max_transit` before this departure and was
    /// unanswered.
    pub(crate) fn unanswered(self) -> Load {
        Load {
            requests: self.before.0.into(),
            cost: self.before.1.into(),
        }
    }
}

/// Returns whether the departure with the number `one` came after `other`. Numbers wrap.
pub(crate) fn is_after(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}
