use crate::Cost;

/// The unit that a limit counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The cost of the requests.
    Cost,
    /// The number of requests, independent of their cost.
    Request,
}

impl Unit {
    /// Returns the part of the limit that a request of this cost takes.
    #[inline]
    pub(crate) const fn of(self, cost: Cost) -> Cost {
        match self {
            Self::Cost => cost,
            Self::Request => Cost::ONE,
        }
    }
}

/// A sum of requests in both units.
///
/// Both are kept since the limits of one quota may have different units, and those of a later quota
/// other ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) cost: u64,
}

impl Load {
    /// Returns the load of one request.
    #[inline]
    pub(crate) const fn of(cost: Cost) -> Self {
        Self {
            requests: 1,
            cost: cost.get() as u64,
        }
    }

    /// Returns the load in one unit.
    #[inline]
    pub(crate) const fn counted(self, unit: Unit) -> u64 {
        match unit {
            Unit::Cost => self.cost,
            Unit::Request => self.requests,
        }
    }

    /// Returns the sum of two loads.
    #[inline]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            // A plain sum does not overflow: no process has 2^32 requests of the highest cost in
            // flight.
            requests: self.requests + other.requests,
            cost: self.cost + other.cost,
        }
    }

    /// Returns the difference, zero in a unit where `other` is larger.
    #[inline]
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            cost: self.cost.saturating_sub(other.cost),
        }
    }
}
