use std::iter;

use crate::{Cost, Quota, TooHeavy};

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

impl Quota {
    /// Counts every request as one, whatever its [`Cost`], under every limit of this quota. By
    /// default the cost counts.
    ///
    /// Combined with [`and`](Self::and), a limit in requests holds beside one in records:
    ///
    /// ```
    /// use pacing::{Cost, Quota};
    ///
    /// let records = Quota::per_second(10_000);
    /// let quota = Quota::per_second(100).by_request().and(records)?;
    /// assert!(quota.fits(Cost::of(500)).is_ok(), "500 records are one request");
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    #[must_use]
    pub fn by_request(self) -> Self {
        self.counting(Unit::Request)
    }

    fn counting(mut self, unit: Unit) -> Self {
        let others = self.others.iter_mut().flatten();
        for policy in iter::once(&mut self.first).chain(others) {
            policy.unit = unit;
        }
        self
    }

    /// Replaces the limits of `other` that have the unit of its first one by this one limit. The
    /// limits with the other unit stay: no pace of this one keeps them.
    pub(crate) fn in_place_of(self, other: &Self) -> Self {
        let unit = other.first.unit;
        let mut kept = other.policies().filter(|policy| policy.unit != unit);
        let mut quota = self.counting(unit).assuming(other);
        quota.others = [kept.next(), kept.next(), kept.next()];
        quota
    }

    /// Returns what a request of this cost takes of the limit that was named first.
    #[must_use]
    pub const fn units(&self, cost: Cost) -> Cost {
        self.first.unit.of(cost)
    }

    /// Checks that a request of this cost can ever leave.
    ///
    /// # Errors
    ///
    /// Fails if the cost is more than a limit, or than the size of a token bucket.
    pub fn fits(&self, cost: Cost) -> Result<(), TooHeavy> {
        let by_cost = self.policies().filter(|policy| policy.unit == Unit::Cost);
        let most = by_cost.map(|policy| policy.most()).min();
        match most {
            Some(most) if cost.get() > most => Err(TooHeavy { cost, most }),
            _ => Ok(()),
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
