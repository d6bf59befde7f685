use std::iter;
use std::time::Duration;

use crate::error::{Rate, Reason};
use crate::moment::{Span, shorter};
use crate::policy::{Policy, Uncertainty};
use crate::unit::Unit;
use crate::{Cost, TooHeavy, UnsafeQuota};

/// The most limits in one quota. A `Quota` is `Copy` and has a place for each of them: a larger
/// number would make every copy larger.
pub(crate) const MOST_LIMITS: usize = 4;

/// The longest time that any setting can have. Sums of a few of them stay far from the largest
/// [`Moment`](crate::Moment), so no arithmetic overflows.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The transit times of most paths through the Internet vary by less. If they vary by more, a
/// sliding counter may throttle some requests; a larger value costs throughput until the jitter is
/// learned.
const DEFAULT_JITTER: Duration = Duration::from_millis(100);

/// Twice the resolution of the usual timers. If it is smaller, a late timer loses a part of the
/// rate; if it is larger, the interval grows.
const DEFAULT_LATENESS: Duration = Duration::from_millis(if cfg!(windows) { 20 } else { 2 });

/// Enough for two lost TCP segments. If it is smaller, a retransmitted segment can break the
/// promise; if it is larger, slow answers cost more.
const DEFAULT_TRANSIT: Duration = Duration::from_secs(1);

/// As long as the longest common window. If it is smaller, the limiter asks an hourly limit too
/// early; if it is larger, an absurd value stops the client for longer.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What a server allows: a number of requests per window.
///
/// The server throttles no request of a client that keeps this quota, as long as the
/// [assumptions](#assumptions) hold.
///
/// ```
/// # use pacing as tower_pace;
/// use tower_pace::{Model, Quota};
///
/// let quota = Quota::per_second(100)
///     .model(Model::TokenBucket { size: 100, refill: 100 })? // if you know how the server counts
///     .and(Quota::per_hour(50_000))?; // if it has a second limit
/// # Ok::<(), pacing::UnsafeQuota>(())
/// ```
///
/// # Which setting when
///
/// The first three matter most.
///
/// - [`model`], if you know how the server counts: it doubles the rate of a limit of 1 per second,
///   and at first gives a tenth more of a limit of 100.
/// - [`max_transit`], if answers take longer than a second and the path is good: with a lower value
///   less throughput is lost to slow answers.
/// - [`and`], if the server has several limits: every request departs under all of them.
/// - [`jitter_ceiling`], if the path is steady, as within a data center: a lower value gives the
///   full rate from the start, not only after 5,000 answers.
/// - [`burst`], if requests come in groups: a group departs at once, which may cost rate.
/// - [`counted_until_answered`], if the server counts a request when it answers: the promise holds
///   there too, and slow answers cost more.
/// - [`by_request`], if one limit counts requests and another one records: each counts in its own
///   unit.
/// - [`unused_at_start`], if no other process has used the limit in the last window: the first
///   requests depart at once.
/// - [`lateness`], if timers are late, as on a busy machine: a late request keeps its place.
/// - [`max_retry_after`], if an hour is too long or too short for a `Retry-After`: it bounds the
///   pause.
///
/// # Assumptions
///
/// No request is throttled for a limit while all of these hold:
///
/// - the limit is at least the stated one, and no other client uses it;
/// - the clocks of client and server run within 500 ppm of each other;
/// - a request reaches the server's counter within [`max_transit`] of its departure, or never. This
///   includes requests that timed out, were canceled or were reset;
/// - before a sliding counter (the weighted previous window plus the current one), and before a
///   token bucket that was named as the [`model`], the transit time of requests varies by at most
///   [`jitter_ceiling`]. The other servers need no such bound.
///
/// # Arithmetic
///
/// A window W is counted as W (1 + 500 ppm) + 1 ms. A request holds slots of the limit until the
/// server can no longer count it. Beside that, departures are spaced by an interval. For a limit L,
/// a burst B, a jitter J and a lateness D it is (W + J + D)/(L - B) while the model is unknown, and
/// about W/L for a named one. The [guide](crate::guide) derives it and has tables of the
/// throughput.
///
/// [`model`]: Self::model
/// [`max_transit`]: Self::max_transit
/// [`and`]: Self::and
/// [`jitter_ceiling`]: Self::jitter_ceiling
/// [`burst`]: Self::burst
/// [`counted_until_answered`]: Self::counted_until_answered
/// [`by_request`]: Self::by_request
/// [`unused_at_start`]: Self::unused_at_start
/// [`lateness`]: Self::lateness
/// [`max_retry_after`]: Self::max_retry_after
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The limit that was stated first.
    pub(crate) first: Policy,
    pub(crate) others: [Option<Policy>; MOST_LIMITS - 1],
    pub(crate) jitter_ceiling: Duration,
    pub(crate) lateness: Duration,
    pub(crate) max_transit: Duration,
    pub(crate) max_retry_after: Duration,
    pub(crate) counted_until_answered: bool,
    pub(crate) unused_at_start: bool,
}

/// The way in which a server counts requests.
///
/// A known model gives more throughput. A wrong one gets requests throttled, so keep
/// [`Unknown`](Self::Unknown) unless the server's documentation names the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// The model is not known. Departures are spaced evenly, so that a server of any model accepts
    /// them.
    #[default]
    Unknown,
    /// An exact log of the requests in the last window, for instance a sorted set in Redis.
    SlidingLog,
    /// A counter that starts at zero in every window, for instance one key per minute.
    FixedWindow,
    /// A bucket of `size` tokens. Every request takes one, and `refill` tokens come back evenly
    /// during each window of the limit. Leaky buckets and GCRA are token buckets too.
    TokenBucket {
        /// The number of tokens in a full bucket.
        size: u32,
        /// The number of tokens that come back per window: at most the limit, and usually equal to
        /// it.
        refill: u32,
    },
}

/// Limits.
impl Quota {
    /// Returns a quota of `limit` requests per second.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(1))
    }

    /// Returns a quota of `limit` requests per minute.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_minute(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(60))
    }

    /// Returns a quota of `limit` requests per hour.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero. In a `const` that is a compile error. [`Quota::new`] returns an
    /// error instead.
    #[must_use]
    pub const fn per_hour(limit: u32) -> Self {
        Self::of(limit, Duration::from_secs(60 * 60))
    }

    /// Returns a quota of `limit` requests per `window`.
    ///
    /// # Errors
    ///
    /// Fails if `limit` or `window` is zero, or if `window` is longer than 366 days.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pacing as tower_pace;
    /// use tower_pace::Quota;
    ///
    /// let quota = Quota::new(3_000, Duration::from_secs(3))?;
    /// assert_eq!(quota.limit(), 3_000);
    /// assert!(Quota::new(0, Duration::from_secs(1)).is_err());
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    pub const fn new(limit: u32, window: Duration) -> Result<Self, UnsafeQuota> {
        // `Duration` has no comparison in a `const fn`, so the nanoseconds are compared.
        let reason = match limit {
            0 => Reason::NoLimit(Rate { limit, window }),
            _ if window.is_zero() => Reason::NoWindow { limit },
            _ if window.as_nanos() > LONGEST.as_nanos() => Reason::LongWindow { window },
            _ => return Ok(Self::of(limit, window)),
        };
        Err(UnsafeQuota(reason))
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

    /// Sets the way in which the server counts, for every limit of this quota.
    ///
    /// # Errors
    ///
    /// Fails if the model contradicts the limit or the burst that was set before.
    ///
    /// ```
    /// # use pacing as tower_pace;
    /// use tower_pace::{Model, Quota};
    ///
    /// let gateway = Quota::per_second(100).model(Model::TokenBucket { size: 80, refill: 100 })?;
    /// assert!(gateway.burst(90).is_err(), "it does not fit into the bucket");
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    pub fn model(self, model: Model) -> Result<Self, UnsafeQuota> {
        self.each(|policy| Policy { model, ..policy })
    }

    /// Lets up to `burst` requests depart at once after an idle time, under every limit of this
    /// quota.
    ///
    /// - A sliding log and a fixed window accept a burst of the whole limit at no cost.
    /// - A token bucket has a burst of its size by default, less what jitter takes.
    /// - With an unknown model each request of the burst lowers the rate by one per window, for
    ///   ever: the burst and the rate together stay within the limit. The default is 1, and a
    ///   fiftieth of the limit if the window is a minute or longer.
    ///
    /// There is no burst while throttled responses have lowered the rate. In the first window the
    /// burst of an unknown model builds up from zero, and the other models have none.
    ///
    /// # Errors
    ///
    /// Fails if `burst` is zero, if it is more than the limit or the bucket, or if the model is
    /// unknown and less than half of the limit is left as the rate.
    ///
    /// ```
    /// # use pacing as tower_pace;
    /// use tower_pace::Quota;
    ///
    /// let error = Quota::per_second(100).burst(80).unwrap_err();
    /// assert!(error.to_string().starts_with("a burst of 80 leaves 20/s forever"));
    /// ```
    pub fn burst(self, burst: u32) -> Result<Self, UnsafeQuota> {
        self.each(|policy| Policy {
            burst: Some(burst),
            ..policy
        })
    }

    /// Adds the limits of `other`. A request departs when every limit has room for it, and all of
    /// them count it.
    ///
    /// Where the two quotas assume different things, the more careful assumption holds.
    ///
    /// # Errors
    ///
    /// Fails if there are more than four limits.
    ///
    /// ```
    /// # use pacing as tower_pace;
    /// use tower_pace::Quota;
    ///
    /// let hourly = Quota::per_hour(1_000);
    /// let quota = Quota::per_second(10).and(hourly)?;
    /// assert_eq!(quota.spacing(), hourly.spacing());
    /// # Ok::<(), pacing::UnsafeQuota>(())
    /// ```
    pub fn and(self, other: Self) -> Result<Self, UnsafeQuota> {
        let mut others = self.policies().chain(other.policies()).skip(1);
        // The larger time is the more careful assumption. A request counts until its answer if it
        // does so under one limit. The start is unused only if it is so under all limits.
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
            more => Err(UnsafeQuota(Reason::TooManyLimits {
                limits: MOST_LIMITS + more,
            })),
        }
    }

    /// Counts every request as one under every limit of this quota, whatever its [`Cost`].
    ///
    /// By default a limit counts the cost. With [`and`](Self::and) a limit of requests and a limit
    /// of records hold together:
    ///
    /// ```
    /// # use pacing as tower_pace;
    /// use tower_pace::{Cost, Quota};
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
}

/// Assumptions about the path, the server and our own timers.
impl Quota {
    /// Sets the most by which the transit times of requests to the server's counter vary.
    ///
    /// The default is 100 ms, the most is 366 days. A larger value costs throughput, above all in
    /// short windows: it makes the [interval](Self::spacing) longer, until 5,000 round trips have
    /// shown that less is enough.
    #[must_use]
    pub const fn jitter_ceiling(self, spread: Duration) -> Self {
        Self {
            jitter_ceiling: shorter(spread, LONGEST),
            ..self
        }
    }

    /// Sets the longest time within which a request reaches the server's counter, if it does.
    ///
    /// The default is 1 s, enough for two lost TCP segments; the most is 366 days.
    ///
    /// A request without an answer holds its slot for this time and a window. With slow answers at
    /// most the limit departs per (window + `time`), so a shorter time gives more throughput if the
    /// path is good. A lost SYN takes a little more than 1 s: set 2 s if the model is a
    /// [`SlidingLog`](Model::SlidingLog) and many connections are new.
    #[must_use]
    pub const fn max_transit(self, time: Duration) -> Self {
        Self {
            max_transit: shorter(time, LONGEST),
            ..self
        }
    }

    /// Assumes that the server may count a request until it answers.
    ///
    /// By default a server counts a request when it arrives, at most
    /// [`max_transit`](Self::max_transit) after its departure. With this setting at most the limit
    /// departs per (window + response time). Requests that hang can use up the whole limit; then
    /// nothing departs until one of them ends. Bound their time with a timeout inside the limiter.
    #[must_use]
    pub const fn counted_until_answered(self) -> Self {
        Self {
            counted_until_answered: true,
            ..self
        }
    }

    /// Assumes that the server has counted nothing in the last window when the limiter starts.
    ///
    /// The first request then departs at once, and with it the whole [burst](Self::burst). Every
    /// start assumes this anew. If a program is restarted within a window, or runs twice, the burst
    /// is sent twice, and the server may throttle it.
    #[must_use]
    pub const fn unused_at_start(self) -> Self {
        Self {
            unused_at_start: true,
            ..self
        }
    }

    /// Sets how late timers may fire. A request that departs no later than that keeps its place.
    ///
    /// The default is 2 ms, and 20 ms on Windows; the most is 1 s. A larger value makes the
    /// interval longer.
    #[must_use]
    pub const fn lateness(self, time: Duration) -> Self {
        Self {
            lateness: shorter(time, Duration::from_secs(1)),
            ..self
        }
    }

    /// Sets the longest pause that a server's `Retry-After` can cause.
    ///
    /// The default is one hour, the most is 366 days. A longer `Retry-After` counts as this time.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: shorter(time, LONGEST),
            ..self
        }
    }

    /// Copies the assumptions of `other` and keeps the limits of this quota.
    ///
    /// The assumptions are `jitter_ceiling`, `max_transit`, `counted_until_answered`,
    /// `unused_at_start`, `lateness` and `max_retry_after`.
    #[must_use]
    pub const fn assuming(self, other: &Self) -> Self {
        Self {
            first: self.first,
            others: self.others,
            ..*other
        }
    }
}

/// Queries.
impl Quota {
    /// Returns the number of requests per window, of the limit that was stated first.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.first.limit
    }

    /// Returns the window of that limit, as it was stated.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.first.window
    }

    /// Returns the window of that limit as the limiter counts it: 500 ppm longer, since clocks
    /// differ, and 1 ms longer, the server's last tick.
    #[must_use]
    pub fn counted_window(&self) -> Duration {
        self.first.counted_window().duration()
    }

    /// Returns the interval between departures at the full rate, before anything is learned. It is
    /// rounded up to a nanosecond.
    #[must_use]
    pub fn spacing(&self) -> Duration {
        let uncertainty = self.widest_uncertainty();
        let intervals = self
            .policies()
            .map(|policy| policy.pace(uncertainty, 1).interval);
        intervals.max().unwrap_or_default().duration()
    }

    /// Returns the units that a request of this cost takes of the limit that was stated first.
    #[must_use]
    pub const fn units(&self, cost: Cost) -> Cost {
        self.first.unit.of(cost)
    }

    /// Checks that a request of this cost can ever depart.
    ///
    /// # Errors
    ///
    /// Fails if the cost is more than a limit, or more than the size of a token bucket.
    pub fn fits(&self, cost: Cost) -> Result<(), TooHeavy> {
        // A limit of requests counts every cost as one, so any cost fits into it.
        let by_cost = self.policies().filter(|policy| policy.unit == Unit::Cost);
        let most = by_cost.map(|policy| policy.most()).min();
        match most {
            Some(most) if cost.get() > most => Err(TooHeavy { cost, most }),
            _ => Ok(()),
        }
    }
}

impl Quota {
    pub(crate) fn policies(&self) -> impl Iterator<Item = Policy> {
        iter::once(self.first).chain(self.others.into_iter().flatten())
    }

    /// Returns the variation that is assumed before anything is learned.
    pub(crate) const fn widest_uncertainty(&self) -> Uncertainty {
        Uncertainty {
            jitter: Span::of(self.jitter_ceiling),
            lateness: Span::of(self.lateness),
        }
    }

    /// Replaces the limits of `other` that count in the unit of its first one by this one limit.
    ///
    /// The limits in the other unit stay: the interval of this limit does not keep them.
    pub(crate) fn in_place_of(self, other: &Self) -> Self {
        let unit = other.first.unit;
        let mut kept = other.policies().filter(|policy| policy.unit != unit);
        let mut quota = self.counting(unit).assuming(other);
        // At most three are kept: the first limit of `other` has this unit.
        quota.others = [kept.next(), kept.next(), kept.next()];
        quota
    }

    fn counting(mut self, unit: Unit) -> Self {
        let others = self.others.iter_mut().flatten();
        for policy in iter::once(&mut self.first).chain(others) {
            policy.unit = unit;
        }
        self
    }

    /// Changes every limit by `change`, whose results can be kept.
    pub(crate) fn map_policies(self, change: impl Fn(Policy) -> Policy) -> Self {
        Self {
            first: change(self.first),
            others: self.others.map(|policy| policy.map(&change)),
            ..self
        }
    }

    /// Changes every limit, and checks that each of them can still be kept.
    fn each(self, change: impl Fn(Policy) -> Policy) -> Result<Self, UnsafeQuota> {
        let changed = self.map_policies(change);
        let reason = changed.policies().find_map(|policy| policy.unsafe_reason());
        reason.map_or(Ok(changed), |reason| Err(UnsafeQuota(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counted_window_is_500_ppm_and_1_ms_longer() {
        let quota = Quota::new(1_000, Duration::from_secs(60)).unwrap();
        assert_eq!(quota.counted_window(), Duration::from_millis(60_031));
    }

    #[test]
    fn per_minute_and_per_hour_are_windows_of_60_and_3600_seconds() {
        let of = |seconds| Quota::new(10, Duration::from_secs(seconds)).unwrap();
        assert_eq!(Quota::per_second(10), of(1));
        assert_eq!(Quota::per_minute(10), of(60));
        assert_eq!(Quota::per_hour(10), of(3_600));
    }

    #[test]
    fn a_quota_without_a_limit_or_a_window_is_an_error() {
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
    fn settings_that_contradict_each_other_are_an_error_that_shows_the_arithmetic() {
        fn check(model: Model, burst: u32, text: &str) {
            let quota = Quota::per_second(100).model(model);
            let error = quota.and_then(|quota| quota.burst(burst)).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let bucket = |size, refill| Model::TokenBucket { size, refill };
        check(
            Model::Unknown,
            80,
            "a burst of 80 leaves 20/s forever, since no window may hold more than burst + rate = \
             100: ask for a burst of at most 50, or if the server is a token bucket say so with \
             Model::TokenBucket { size: 80, refill: 100 }",
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
            "a bucket refilled by 101 lets more through than the limit of 100/s: \
             give a refill of at most 100",
        );
    }

    #[test]
    fn a_burst_is_at_most_half_of_an_unknown_limit_and_the_whole_of_a_bucket() {
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
    fn a_model_that_contradicts_an_earlier_burst_is_an_error() {
        let quota = Quota::per_second(100).burst(50).unwrap();
        let model = Model::TokenBucket {
            size: 49,
            refill: 100,
        };
        assert!(quota.model(model).is_err());
    }

    #[test]
    fn a_quota_has_up_to_four_limits_and_the_more_careful_assumptions() {
        let second = Quota::per_second(10).jitter_ceiling(Duration::from_secs(1));
        let minute = Quota::new(100, Duration::from_secs(60)).unwrap();
        let two = second
            .and(minute.max_transit(Duration::from_secs(7)))
            .unwrap();
        assert_eq!(
            two.widest_uncertainty().jitter.duration(),
            Duration::from_secs(1)
        );
        assert_eq!(two.max_transit, Duration::from_secs(7));
        assert_eq!(two.and(two).unwrap().policies().count(), 4);
        let text = two.and(two).unwrap().and(minute).unwrap_err().to_string();
        assert_eq!(
            text,
            "5 limits are more than the 4 that one quota can hold: \
             leave out a limit that the others imply"
        );
        let careful = minute.counted_until_answered();
        assert!(second.and(careful).unwrap().counted_until_answered);
        assert!(careful.and(second).unwrap().counted_until_answered);
        let unused = minute.unused_at_start();
        assert!(unused.and(unused).unwrap().unused_at_start);
        assert!(!unused.and(second).unwrap().unused_at_start);
    }

    #[test]
    fn a_cost_above_a_limit_is_an_error() {
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
    fn very_large_settings_are_bounded_and_do_not_overflow() {
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
