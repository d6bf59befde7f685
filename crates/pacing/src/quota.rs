use std::iter;
use std::time::Duration;

use crate::policy::Policy;
use crate::unsafe_quota::{Fault, Per};
use crate::{Model, UnsafeQuota};

/// A quota can hold so many limits.
const MOST_LIMITS: usize = 4;

/// The longest time that any setting may name.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const DEFAULT_JITTER: Duration = Duration::from_millis(100);
/// The grain of common timers, twice.
const DEFAULT_LATENESS: Duration = Duration::from_millis(if cfg!(windows) { 20 } else { 2 });
const DEFAULT_TRANSIT: Duration = Duration::from_secs(1);
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What a server allows, and what is assumed of the path to it.
///
/// `limit` requests in any `window`, counted by whatever algorithm unless a [`model`](Self::model)
/// is named. The [crate](crate) has the table of what each model costs. The assumptions that the
/// promise "no request is refused" rests on are these:
///
/// - the limit is ours alone, and it is at least what is stated here;
/// - client and server clocks run within 500 ppm of each other;
/// - a request that was given up (timed out, canceled, reset) reaches the server's counter within
///   [`max_transit`] or never;
/// - on a server with a sliding counter (previous window weighted, plus the current) or a token
///   bucket that was named, the time that requests take to reach the counter varies by no more than
///   [`jitter_ceiling`]. The other algorithms need no such bound.
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
    pub(crate) first: Policy,
    pub(crate) others: [Option<Policy>; MOST_LIMITS - 1],
    pub(crate) jitter_ceiling: Duration,
    pub(crate) lateness: Duration,
    pub(crate) max_transit: Duration,
    pub(crate) max_retry_after: Duration,
    pub(crate) counted_until_answered: bool,
    pub(crate) unused_at_start: bool,
}

impl Quota {
    /// Allows `limit` requests in any second.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(1))
    }

    /// Allows `limit` requests in any minute.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_minute(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(60))
    }

    /// Allows `limit` requests in any hour.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_hour(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(60 * 60))
    }

    /// Allows `limit` requests in any `window`.
    ///
    /// # Errors
    ///
    /// Fails if `limit` or `window` is zero, or if `window` is longer than 366 days.
    pub const fn new(limit: u32, window: Duration) -> Result<Self, UnsafeQuota> {
        let fault = match limit {
            0 => Fault::NoLimit(Per { limit, window }),
            _ if window.is_zero() => Fault::NoWindow { limit },
            _ if window.as_nanos() > LONGEST.as_nanos() => Fault::LongWindow { window },
            _ => return Ok(Self::of(limit, window)),
        };
        Err(UnsafeQuota(fault))
    }

    const fn of(limit: u32, window: Duration) -> Self {
        assert!(limit > 0, "a limit of 0 requests lets nothing through");
        Self {
            first: Policy::new(limit, window),
            others: [None; MOST_LIMITS - 1],
            jitter_ceiling: DEFAULT_JITTER,
            lateness: DEFAULT_LATENESS,
            max_transit: DEFAULT_TRANSIT,
            max_retry_after: DEFAULT_RETRY_AFTER,
            counted_until_answered: false,
            unused_at_start: false,
        }
    }

    /// Says how the server counts; of a combined quota, for every limit in it.
    ///
    /// # Errors
    ///
    /// Fails if the model contradicts the limit or a burst that was asked for before.
    ///
    /// ```
    /// use pacing::{Model, Quota};
    ///
    /// let gateway = Quota::per_second(100).model(Model::TokenBucket { size: 80, refill: 100 })?;
    /// assert!(gateway.burst(90).is_err(), "it does not fit into the bucket");
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    pub fn model(self, model: Model) -> Result<Self, UnsafeQuota> {
        self.each(|policy| Policy { model, ..policy })
    }

    /// Lets up to `burst` requests leave at once after an idle time; of a combined quota, under
    /// every limit in it.
    ///
    /// Before an unknown server it costs rate for ever: burst + rate x (window + jitter) stays
    /// within the limit, so each request of the burst takes one a window from the rate. A sliding
    /// log and a fixed window do not mind it. A token bucket allows its size without being asked,
    /// less what jitter takes. An unknown server with a window of a minute or more has a burst of
    /// limit / 50 unless another one is asked for.
    ///
    /// While refusals have lowered the rate there is no burst. At the start the burst of an unknown
    /// server builds up from zero, and the other models have none for the first window.
    ///
    /// # Errors
    ///
    /// Fails if `burst` is zero, if it leaves less than half of the limit as the rate to an unknown
    /// server, or if it is more than the limit or the bucket.
    ///
    /// ```
    /// use pacing::Quota;
    ///
    /// let refused = Quota::per_second(100).burst(80).unwrap_err();
    /// assert!(refused.to_string().starts_with("a burst of 80 leaves 20/s for ever"));
    /// ```
    pub fn burst(self, burst: u32) -> Result<Self, UnsafeQuota> {
        self.each(|policy| Policy {
            burst: Some(burst),
            ..policy
        })
    }

    /// Holds the limits of `other` as well: a request leaves when all of them have room for it, and
    /// is counted by all.
    ///
    /// Of what is assumed of the path, the more careful is taken.
    ///
    /// # Errors
    ///
    /// Fails if there are more than four limits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pacing::Quota;
    ///
    /// let hourly = Quota::new(1_000, Duration::from_secs(3_600))?;
    /// let quota = Quota::per_second(10).and(hourly)?;
    /// assert_eq!(quota.spacing(), hourly.spacing());
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    pub fn and(self, other: Self) -> Result<Self, UnsafeQuota> {
        let mut others = self.policies().chain(other.policies()).skip(1);
        let combined = Self {
            first: self.first,
            others: [others.next(), others.next(), others.next()],
            jitter_ceiling: self.jitter_ceiling.max(other.jitter_ceiling),
            lateness: self.lateness.max(other.lateness),
            max_transit: self.max_transit.max(other.max_transit),
            max_retry_after: self.max_retry_after.max(other.max_retry_after),
            counted_until_answered: self.counted_until_answered || other.counted_until_answered,
            unused_at_start: self.unused_at_start && other.unused_at_start,
        };
        match others.count() {
            0 => Ok(combined),
            more => Err(UnsafeQuota(Fault::TooMany {
                limits: MOST_LIMITS + more,
            })),
        }
    }

    /// Returns how many requests the window allows; of a combined quota, by the limit that was
    /// named first.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.first.limit
    }

    /// Returns the window of that limit as it was given.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.first.window
    }

    /// Returns that window as it has to be counted here: clocks may differ by 500 ppm, and the last
    /// tick counts.
    #[must_use]
    pub fn counted_window(&self) -> Duration {
        self.first.counted_window().duration()
    }

    /// Returns the time between departures at the full rate before anything is learned, rounded up
    /// to a nanosecond.
    #[must_use]
    pub fn spacing(&self) -> Duration {
        let slip = self.widest_slip();
        let intervals = self.policies().map(|policy| policy.pace(slip, 1).interval);
        intervals.max().unwrap_or_default().duration()
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = Policy> {
        iter::once(self.first).chain(self.others.into_iter().flatten())
    }

    fn each(self, change: impl Fn(Policy) -> Policy) -> Result<Self, UnsafeQuota> {
        let changed = Self {
            first: change(self.first),
            others: self.others.map(|policy| policy.map(&change)),
            ..self
        };
        let fault = changed.policies().find_map(|policy| policy.fault());
        fault.map_or(Ok(changed), |fault| Err(UnsafeQuota(fault)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cost;

    #[test]
    fn the_counted_window_allows_for_clocks_and_the_last_tick() {
        let quota = Quota::new(1_000, Duration::from_secs(60)).unwrap();
        assert_eq!(quota.counted_window(), Duration::from_millis(60_031));
    }

    #[test]
    fn a_minute_and_an_hour_have_names() {
        let of = |seconds| Quota::new(10, Duration::from_secs(seconds)).unwrap();
        assert_eq!(Quota::per_second(10), of(1));
        assert_eq!(Quota::per_minute(10), of(60));
        assert_eq!(Quota::per_hour(10), of(3_600));
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
    fn what_contradicts_itself_is_refused_with_the_arithmetic() {
        fn check(model: Model, burst: u32, text: &str) {
            let quota = Quota::per_second(100).model(model);
            let error = quota.and_then(|quota| quota.burst(burst)).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let bucket = |size, refill| Model::TokenBucket { size, refill };
        check(
            Model::Unknown,
            80,
            "a burst of 80 leaves 20/s for ever, since no window may hold more than burst + rate = 100: ask for a burst \
             of at most 50, or if the server is a token bucket say so with Model::TokenBucket { size: 80, refill: 100 }",
        );
        check(
            Model::SlidingLog,
            101,
            "a burst of 101 is more than the limit of 100/s: ask for at most 100",
        );
        check(
            bucket(80, 100),
            81,
            "a burst of 81 does not fit into a bucket of 80: ask for at most 80",
        );
        check(
            Model::FixedWindow,
            0,
            "a burst of 0 lets nothing through: ask for at least 1",
        );
        check(
            bucket(0, 100),
            1,
            "a bucket of 0 with a refill of 100 lets nothing through: give at least 1 of both",
        );
        check(
            bucket(80, 101),
            1,
            "a bucket refilled by 101 lets more through than the limit of 100/s: give a refill of at most 100",
        );
    }

    #[test]
    fn a_burst_may_take_half_of_the_limit_and_the_whole_of_a_bucket() {
        fn check(limit: u32, model: Model, burst: u32, holds: bool) {
            let quota = Quota::per_second(limit).model(model).unwrap();
            assert_eq!(quota.burst(burst).is_ok(), holds, "{model:?} {burst}");
        }
        check(100, Model::Unknown, 50, true);
        check(100, Model::Unknown, 51, false);
        check(1, Model::Unknown, 1, true);
        check(2, Model::Unknown, 2, false);
        check(100, Model::FixedWindow, 100, true);
        check(
            100,
            Model::TokenBucket {
                size: 80,
                refill: 1,
            },
            80,
            true,
        );
        check(
            10,
            Model::TokenBucket {
                size: 80,
                refill: 1,
            },
            80,
            true,
        );
    }

    #[test]
    fn a_model_that_contradicts_an_earlier_burst_is_refused() {
        let quota = Quota::per_second(100).burst(50).unwrap();
        let model = Model::TokenBucket {
            size: 49,
            refill: 100,
        };
        assert!(quota.model(model).is_err());
    }

    #[test]
    fn a_quota_holds_four_limits_and_the_more_careful_of_the_assumptions() {
        let second = Quota::per_second(10).jitter_ceiling(Duration::from_secs(1));
        let minute = Quota::new(100, Duration::from_secs(60)).unwrap();
        let two = second
            .and(minute.max_transit(Duration::from_secs(7)))
            .unwrap();
        assert_eq!(two.widest_slip().jitter.duration(), Duration::from_secs(1));
        assert_eq!(two.max_transit, Duration::from_secs(7));
        assert_eq!(two.and(two).unwrap().policies().count(), 4);
        let text = two.and(two).unwrap().and(minute).unwrap_err().to_string();
        assert_eq!(
            text,
            "5 limits are more than the 4 that one quota can hold: leave out those that never bind"
        );
        let careful = minute.counted_until_answered();
        assert!(second.and(careful).unwrap().counted_until_answered);
        assert!(careful.and(second).unwrap().counted_until_answered);
        let unused = minute.unused_at_start();
        assert!(unused.and(unused).unwrap().unused_at_start);
        assert!(!unused.and(second).unwrap().unused_at_start);
    }

    #[test]
    fn a_cost_that_never_fits_is_refused() {
        fn check(quota: Quota, fits: u32) {
            assert_eq!(quota.fits(Cost::of(fits)), Ok(()));
            assert!(quota.fits(Cost::of(fits + 1)).is_err());
        }
        let ten = Quota::per_second(10);
        check(ten, 10);
        check(Quota::per_second(100).and(ten).unwrap(), 10);
        check(
            ten.model(Model::TokenBucket { size: 7, refill: 1 })
                .unwrap(),
            7,
        );
        assert_eq!(
            ten.fits(Cost::of(11)).unwrap_err().to_string(),
            "a cost of 11 never fits into a limit of 10: split the request"
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
        assert_eq!(quota.max_transit, LONGEST);
        assert_eq!(quota.max_retry_after, LONGEST);
    }
}
