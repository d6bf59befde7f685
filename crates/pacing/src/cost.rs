use std::num::NonZeroU32;

/// How many requests of a limit one request takes: a bulk call that the server counts as ten has a cost of 10.
///
/// What costs more than a limit can never be paid: a bounded layer refuses it, and an unbounded one, which has no error,
/// sends it as if it cost the whole limit, and the server may refuse it. [`Quota::fits`](crate::Quota::fits) tells before.
///
/// ```
/// use pacing::Cost;
///
/// assert_eq!(Cost::default(), Cost::of(1));
/// assert_eq!(Cost::of(10).get(), 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(NonZeroU32);

impl Cost {
    /// The cost of a usual request.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Returns a cost of so many `units`.
    ///
    /// # Panics
    ///
    /// Panics if `units` is zero: what costs nothing needs no limiter. In a `const` that is a compile error.
    #[must_use]
    pub const fn of(units: u32) -> Self {
        Self(NonZeroU32::new(units).expect("a cost of 0 needs no limiter"))
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
