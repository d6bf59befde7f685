use std::ops::{Add, Mul, Sub};
use std::time::Duration;

/// The time before the origin that a moment can represent, five years.
///
/// A quota that starts with its full burst counts back from its start, which may be the origin: at
/// most two windows of 366 days and two jitters of 366 days. With less room before the origin that
/// burst would be cut off. More would take from the 579 years after it.
const BEFORE_ORIGIN: u64 = 5 * 366 * 86_400 * 1_000_000_000;

/// A point in time, in nanoseconds since an origin that the caller chooses.
///
/// All arithmetic saturates, five years before the origin and 579 years after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Default for Moment {
    fn default() -> Self {
        Self::ORIGIN
    }
}

impl Moment {
    /// The origin of the caller's clock.
    pub const ORIGIN: Self = Self(BEFORE_ORIGIN);

    /// The first moment that can be represented, before the origin.
    pub(crate) const FIRST: Self = Self(0);

    /// The last moment that can be represented.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// Returns the moment that lies `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(BEFORE_ORIGIN.saturating_add(nanos))
    }

    /// Returns the nanoseconds between the origin and this moment, zero if it lies before the
    /// origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.saturating_sub(BEFORE_ORIGIN)
    }

    /// Returns the time from `earlier` to this moment, zero if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.span_since(earlier).duration()
    }

    /// Returns the same as [`since`](Self::since), as a span.
    #[inline]
    pub(crate) const fn span_since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Returns the first multiple of `grain` nanoseconds that is not before this moment.
    #[inline]
    pub(crate) fn round_up(self, grain: u64) -> Self {
        Self(self.0.checked_next_multiple_of(grain).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, time: Duration) -> Self {
        self + Span::of(time)
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn sub(self, time: Duration) -> Self {
        self - Span::of(time)
    }
}

impl Add<Span> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Moment {
    type Output = Self;

    #[inline]
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// A length of time in nanoseconds. All arithmetic saturates.
///
/// It is one word. A [`Duration`] is two numbers with a carry between them, which costs several
/// instructions in each sum of the usual departure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// Returns a duration as a span.
    #[inline]
    pub(crate) const fn of(time: Duration) -> Self {
        let seconds = time.as_secs().saturating_mul(1_000_000_000);
        Self(seconds.saturating_add(time.subsec_nanos() as u64))
    }

    /// Returns a span of `nanos` nanoseconds.
    #[inline]
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the span in nanoseconds.
    #[inline]
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// Returns the span as a duration.
    #[inline]
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Returns this span times `to` / `from`, rounded up.
    pub(crate) fn times(self, to: Self, from: Self) -> Self {
        // The product of two spans does not fit into 64 bits.
        let scaled = (u128::from(self.0) * u128::from(to.0)).div_ceil(u128::from(from.0.max(1)));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Add for Span {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u32> for Span {
    type Output = Self;

    #[inline]
    fn mul(self, times: u32) -> Self {
        Self(self.0.saturating_mul(times.into()))
    }
}

/// Returns the whole duration in nanoseconds, saturating.
pub(crate) const fn nanos(time: Duration) -> u64 {
    Span::of(time).nanos()
}

/// Returns a duration of `nanos` nanoseconds, saturating.
pub(crate) fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Returns the shorter of two durations, in a `const`.
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
        assert_eq!(Moment::ORIGIN - Duration::MAX, Moment(0));
        assert_eq!(Moment::ORIGIN + Duration::MAX, Moment::from_nanos(u64::MAX));
        assert_eq!(Moment::ORIGIN.since(Moment::from_nanos(5)), Duration::ZERO);
        assert_eq!(
            Moment::from_nanos(u64::MAX).round_up(1_000),
            Moment::from_nanos(u64::MAX)
        );
    }

    #[test]
    fn rounding_goes_up_to_the_next_multiple_and_moments_lie_before_the_origin_too() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment::ORIGIN - second + second, Moment::ORIGIN);
        assert_eq!((Moment::ORIGIN - second).as_nanos(), 0);
        assert_eq!(Moment::from_nanos(1_001).round_up(500).as_nanos(), 1_500);
        assert_eq!(Moment::from_nanos(1_500).round_up(500).as_nanos(), 1_500);
    }
}
