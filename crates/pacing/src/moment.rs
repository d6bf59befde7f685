use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in nanoseconds since an origin that the caller chooses.
///
/// All arithmetic saturates: 584 years after the origin time stands still, and nothing lies before the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin of the caller's clock.
    pub const ORIGIN: Self = Self(0);

    /// Returns the moment that lies `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds between the origin and this moment.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this moment, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the first multiple of `grain` nanoseconds that is not before this moment.
    pub(crate) fn round_up(self, grain: u64) -> Self {
        Self(self.0.checked_next_multiple_of(grain).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(time)))
    }
}

/// The whole duration in nanoseconds, saturating.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The duration of so many nanoseconds, saturating.
pub(crate) fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The shorter of two durations, in a `const`.
pub(crate) const fn shorter(one: Duration, other: Duration) -> Duration {
    if one.as_nanos() < other.as_nanos() {
        one
    } else {
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Moment::ORIGIN - Duration::from_secs(1), Moment::ORIGIN);
        assert_eq!(Moment::ORIGIN + Duration::MAX, Moment::from_nanos(u64::MAX));
        assert_eq!(Moment::ORIGIN.since(Moment::from_nanos(5)), Duration::ZERO);
        assert_eq!(
            Moment::from_nanos(u64::MAX).round_up(1_000),
            Moment::from_nanos(u64::MAX)
        );
    }

    #[test]
    fn rounding_goes_up_to_the_next_multiple() {
        assert_eq!(Moment::from_nanos(1_001).round_up(500).as_nanos(), 1_500);
        assert_eq!(Moment::from_nanos(1_500).round_up(500).as_nanos(), 1_500);
    }
}
