use crate::Cost;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// What the requests cost.
    Cost,
    /// The requests, whatever they cost.
    Request,
}

impl Unit {
    /// Returns what a request of this cost takes.
    #[inline]
    pub(crate) const fn of(self, cost: Cost) -> Cost {
        match self {
            Self::Cost => cost,
            Self::Request => Cost::ONE,
        }
    }
}

/// A sum of requests in every unit: the limits of a later quota may have another unit.
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

    #[inline]
    pub(crate) const fn counted(self, unit: Unit) -> u64 {
        match unit {
            Unit::Cost => self.cost,
            Unit::Request => self.requests,
        }
    }

    #[inline]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            // No process sends 2^32 requests of the highest cost before the first of them ends.
            requests: self.requests + other.requests,
            cost: self.cost + other.cost,
        }
    }

    #[inline]
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            cost: self.cost.saturating_sub(other.cost),
        }
    }
}
