use std::fmt;
use std::time::Duration;

use crate::moment::{duration, nanos};

/// How late after its slot a request may leave without losing the slot: the grain of common timers, twice.
pub(crate) const LATENESS: Duration = Duration::from_millis(2);

/// The longest time that any setting may name.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const DEFAULT_JITTER: Duration = Duration::from_millis(100);
const DEFAULT_TRANSIT: Duration = Duration::from_secs(1);
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What a server allows, and what is assumed of the path to it.
///
/// `limit` requests in any `window`, counted by whatever algorithm: nothing is assumed of it. The assumptions that the
/// promise "no request is refused" rests on are these:
///
/// - the limit is ours alone, and it is at least what is stated here;
/// - client and server clocks run within 500 ppm of each other;
/// - a request that was given up (timed out, canceled, reset) reaches the server's counter within [`max_transit`]
///   or never;
/// - on a server with a sliding counter (previous window weighted, plus the current), the time that requests take to
///   reach the counter varies by no more than [`jitter_ceiling`]. The other algorithms need no such bound.
///
/// [`max_transit`]: Self::max_transit
/// [`jitter_ceiling`]: Self::jitter_ceiling
///
/// ```
/// use std::time::Duration;
/// use pacing::Quota;
///
/// let quota = Quota::new(3_000, Duration::from_secs(3))?;
/// assert_eq!(quota.limit(), 3_000);
/// assert!(Quota::new(0, Duration::from_secs(1)).is_err());
/// # Ok::<(), pacing::UnsafeQuota>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    window: Duration,
    jitter_ceiling: Duration,
    max_transit: Duration,
    max_retry_after: Duration,
}

impl Quota {
    /// Allows `limit` requests in any second.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an error instead.
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        assert!(limit > 0, "a limit of 0 requests lets nothing through");
        Self::of(limit, Duration::from_secs(1))
    }

    /// Allows `limit` requests in any `window`.
    ///
    /// # Errors
    ///
    /// Fails if `limit` or `window` is zero, or if `window` is longer than 366 days.
    pub const fn new(limit: u32, window: Duration) -> Result<Self, UnsafeQuota> {
        if limit == 0 || window.is_zero() || window.as_nanos() > LONGEST.as_nanos() {
            return Err(UnsafeQuota { limit, window });
        }
        Ok(Self::of(limit, window))
    }

    const fn of(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            jitter_ceiling: DEFAULT_JITTER,
            max_transit: DEFAULT_TRANSIT,
            max_retry_after: DEFAULT_RETRY_AFTER,
        }
    }

    /// Assumes that the time a request takes to reach the server's counter varies by at most `spread`.
    ///
    /// The default is 100 ms, at most 366 days are used. It costs throughput, above all in short windows: departures
    /// are spaced by (window + spread) / (limit - 1).
    #[must_use]
    pub const fn jitter_ceiling(self, spread: Duration) -> Self {
        Self {
            jitter_ceiling: shorter(spread, LONGEST),
            ..self
        }
    }

    /// Assumes that a request which was given up can still reach the server's counter for `time`, and not longer.
    ///
    /// The default is 1 s, at most 366 days are used.
    #[must_use]
    pub const fn max_transit(self, time: Duration) -> Self {
        Self {
            max_transit: shorter(time, LONGEST),
            ..self
        }
    }

    /// Obeys a server's `Retry-After` for `time` at most, however long it asks for.
    ///
    /// The default is one hour, at most 366 days are used.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: shorter(time, LONGEST),
            ..self
        }
    }

    /// Returns how many requests the window allows.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the window as it was given.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Returns the window as it has to be counted here: clocks may differ by 500 ppm, and the last tick counts.
    #[must_use]
    pub fn counted_window(&self) -> Duration {
        let window = nanos(self.window);
        Duration::from_nanos(window + window.div_ceil(2_000)) + Duration::from_millis(1)
    }

    /// Returns the time between departures at the full rate, rounded up to a nanosecond:
    /// (window + jitter + lateness) / (limit - 1), and twice the dividend for a limit of one.
    #[must_use]
    pub fn spacing(&self) -> Duration {
        let span = self.counted_window() + self.jitter_ceiling + LATENESS;
        match self.limit {
            1 => span * 2,
            limit => duration(span.as_nanos().div_ceil(u128::from(limit) - 1)),
        }
    }

    pub(crate) const fn jitter(&self) -> Duration {
        self.jitter_ceiling
    }

    pub(crate) const fn transit(&self) -> Duration {
        self.max_transit
    }

    pub(crate) const fn longest_retry_after(&self) -> Duration {
        self.max_retry_after
    }
}

const fn shorter(one: Duration, other: Duration) -> Duration {
    if one.as_nanos() < other.as_nanos() {
        one
    } else {
        other
    }
}

/// The error of a quota that cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsafeQuota {
    limit: u32,
    window: Duration,
}

impl fmt::Display for UnsafeQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, window } = self;
        match (limit, window) {
            (0, _) => write!(
                f,
                "0 requests per {window:?} let nothing through: give a limit of at least 1"
            ),
            (_, &Duration::ZERO) => write!(
                f,
                "{limit} requests per 0 s are no limit: give a window longer than zero"
            ),
            _ => write!(
                f,
                "a window of {window:?} is longer than 366 days: give a shorter one"
            ),
        }
    }
}

impl std::error::Error for UnsafeQuota {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_rounded_up_and_never_down() {
        for limit in 2..2_000 {
            let quota = Quota::per_second(limit);
            let span = quota.counted_window() + quota.jitter() + LATENESS;
            let covered = quota.spacing().as_nanos() * u128::from(limit - 1);
            assert!(covered >= span.as_nanos(), "limit {limit}");
            assert!(
                covered < span.as_nanos() + u128::from(limit),
                "limit {limit}"
            );
        }
    }

    #[test]
    fn a_limit_of_one_takes_twice_the_window() {
        let quota = Quota::per_second(1).jitter_ceiling(Duration::ZERO);
        assert_eq!(quota.spacing(), Duration::from_micros(2 * 1_003_500));
    }

    #[test]
    fn the_counted_window_allows_for_clocks_and_the_last_tick() {
        let quota = Quota::new(1_000, Duration::from_secs(60)).unwrap();
        assert_eq!(quota.counted_window(), Duration::from_millis(60_031));
    }

    #[test]
    fn what_cannot_hold_has_no_value() {
        fn check(limit: u32, window: Duration, text: &str) {
            assert_eq!(Quota::new(limit, window).unwrap_err().to_string(), text);
        }
        check(
            0,
            Duration::from_secs(1),
            "0 requests per 1s let nothing through: give a limit of at least 1",
        );
        check(
            5,
            Duration::ZERO,
            "5 requests per 0 s are no limit: give a window longer than zero",
        );
        check(
            5,
            LONGEST + Duration::from_secs(1),
            "a window of 31622401s is longer than 366 days: give a shorter one",
        );
    }

    #[test]
    fn absurd_settings_are_bounded_and_do_not_overflow() {
        let quota = Quota::new(u32::MAX, LONGEST)
            .unwrap()
            .jitter_ceiling(Duration::MAX)
            .max_transit(Duration::MAX)
            .max_retry_after(Duration::MAX);
        assert!(quota.spacing() >= LONGEST * 2 / u32::MAX);
        assert_eq!(quota.transit(), LONGEST);
        assert_eq!(quota.longest_retry_after(), LONGEST);
    }
}
