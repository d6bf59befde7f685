use std::num::NonZeroU32;

/// The number of requests of a limit that one request takes: 10 for a bulk call that the server
/// counts as ten.
///
/// A cost above the limit can never depart. A bounded layer returns an error for it. An unbounded
/// layer has no error: it sends the request as if it cost the whole limit, and the server may
/// throttle it. [`Quota::fits`](crate::Quota::fits) checks a cost beforehand.
///
/// ```
/// # use pacing as tower_pace;
/// use tower_pace::Cost;
///
/// assert_eq!(Cost::default(), Cost::of(1));
/// assert_eq!(Cost::of(10).get(), 10);
/// assert_eq!(Cost::clamped(0), Cost::ONE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(NonZeroU32);

impl Cost {
    /// The cost of a usual request.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Returns a cost of `units`.
    ///
    /// # Panics
    ///
    /// Panics if `units` is zero: a request without a cost needs no limiter. In a `const` that is a
    /// compile error.
    #[must_use]
    pub const fn of(units: u32) -> Self {
        Self(NonZeroU32::new(units).expect("a cost of 0 needs no limiter"))
    }

    /// Returns the cost nearest to `units`: at least 1, and at most [`u32::MAX`].
    ///
    /// It is for a number that a server states, such as the tokens that a response took.
    #[must_use]
    pub fn clamped(units: u64) -> Self {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN))
    }

    /// Returns the number of units.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::ONE
    }
}

impl From<NonZeroU32> for Cost {
    fn from(units: NonZeroU32) -> Self {
        Self(units)
    }
}
