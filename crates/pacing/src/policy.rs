use std::time::Duration;

use crate::Model;
use crate::error::{Rate, Reason};
use crate::fields::{StatedLimit, StatedUnit};
use crate::moment::{Span, nanos};
use crate::unit::Unit;

/// How late a request may depart and keep its planned time, where the slots alone keep the promise.
/// Timers of a busy process are often late by several milliseconds; with less, each of them costs
/// throughput. With more, more requests depart at once after a stall.
const SLOTS_LATENESS: Span = Span::of(Duration::from_millis(20));

/// From this window on, an unknown server has a burst by default, and stated limits are used. The
/// interval of a limit per minute or hour is long, so a short program would only wait. With a lower
/// bound, the rounding of stated resets to whole seconds would be a large part of the window.
const LONG_WINDOW: Duration = Duration::from_secs(60);
/// The burst of an unknown server with a long window is a fiftieth of its limit. It costs 2 % of
/// the rate. A larger part costs more throughput; a smaller one lets fewer requests depart at once.
const LONG_WINDOW_BURST: u32 = 50;

/// One limit of a quota: the number, the window and the model of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) model: Model,
    /// The configured burst; none for the default of the model.
    pub(crate) burst: Option<u32>,
    pub(crate) unit: Unit,
}

/// How much the time from a planned departure to the arrival at the server may vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uncertainty {
    /// The part of the path: the assumed jitter.
    pub(crate) jitter: Span,
    /// The part of our own timers.
    pub(crate) lateness: Span,
}

/// The spacing of departures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The interval for a cost of one.
    pub(crate) interval: Span,
    /// How late a request may depart and keep its planned time.
    pub(crate) lateness: Span,
    /// The cost that may depart at once after idle time.
    pub(crate) burst: u32,
    /// The highest cost of one request that the pace has room for.
    pub(crate) highest: u32,
    /// The server has forgotten all requests after this time without a departure.
    pub(crate) memory: Span,
}

impl Pace {
    /// Returns the spacing after a request of this cost, and at most the memory.
    #[inline]
    pub(crate) fn spacing(&self, cost: u32) -> Span {
        (self.interval * cost).min(self.memory)
    }

    /// Returns how far back a planned time may lie: the lateness, and the intervals of the burst.
    #[inline]
    pub(crate) fn slack(&self) -> Span {
        match self.burst {
            1 => self.lateness,
            burst => self.lateness + self.interval * (burst - 1),
        }
    }

    /// Returns the largest cost that may arrive at once on a good path: a burst, with the highest
    /// request as its last one.
    #[inline]
    pub(crate) fn largest_burst(&self) -> u32 {
        self.burst.saturating_add(self.highest - 1)
    }

    /// Returns the intervals of the part of `cost` that is beyond the largest burst.
    #[inline]
    pub(crate) fn time_beyond_burst(&self, cost: u64) -> Span {
        let beyond = cost.saturating_sub(self.largest_burst().into());
        Span::from_nanos(self.interval.nanos().saturating_mul(beyond))
    }

    /// Returns the same pace without a burst.
    pub(crate) fn steady(self) -> Self {
        Self { burst: 1, ..self }
    }
}

impl Policy {
    /// Returns a policy for an unknown server that counts cost, with the default burst.
    pub(crate) const fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            model: Model::Unknown,
            burst: None,
            unit: Unit::Cost,
        }
    }

    /// Returns the counted window, W' = W (1 + 500 ppm) + 1 ms. The server's clock may be slower by
    /// 500 ppm, and it may count in whole milliseconds.
    pub(crate) fn counted_window(&self) -> Span {
        let window = nanos(self.window);
        Span::from_nanos(window + window.div_ceil(2_000) + 1_000_000)
    }

    /// Returns the time in which a server that refills evenly refills a cost of one.
    pub(crate) fn refill_interval(&self) -> Span {
        let window = self.counted_window().nanos();
        Span::from_nanos(window.div_ceil(u64::from(self.limit)))
    }

    /// Returns the highest cost of a request that can ever depart.
    #[inline]
    pub(crate) fn most(&self) -> u32 {
        match self.model {
            Model::TokenBucket { size, .. } => size,
            _ => self.limit,
        }
    }

    /// Returns whether slots hold requests back. A bucket may be smaller than the limit, so only
    /// the pace holds them back there.
    #[inline]
    pub(crate) fn is_held_by_slots(&self) -> bool {
        !matches!(self.model, Model::TokenBucket { .. })
    }

    /// Returns whether the pace has to make room for heavy requests. For a sliding log and a fixed
    /// window the slots do that.
    #[inline]
    pub(crate) fn spaces_costs(&self) -> bool {
        !matches!(self.model, Model::SlidingLog | Model::FixedWindow)
    }

    /// Returns whether the window is long enough to rely on limits that the server states.
    pub(crate) fn has_allowance(&self) -> bool {
        self.window >= LONG_WINDOW
    }

    /// Returns whether a stated limit is in the unit of this one.
    pub(crate) fn has_unit_of(&self, stated_limit: &StatedLimit) -> bool {
        match (stated_limit.unit, self.unit) {
            (None, _)
            | (Some(StatedUnit::Requests), Unit::Request)
            | (Some(StatedUnit::Cost), Unit::Cost) => true,
            // A limit of requests that all cost one. Without the same number it may be one of
            // tokens, and the statement is about another limit.
            (Some(StatedUnit::Requests), Unit::Cost) => {
                stated_limit.limit == Some(self.limit.into())
            }
            (Some(StatedUnit::Cost), Unit::Request) => false,
        }
    }

    /// Returns the reason why the policy cannot keep its limit, if there is one.
    pub(crate) fn unsafe_reason(&self) -> Option<Reason> {
        let per = Rate {
            limit: self.limit,
            window: self.window,
        };
        match (self.model, self.burst) {
            (_, Some(0)) => Some(Reason::NoBurst),
            (Model::TokenBucket { size, refill }, _) if size == 0 || refill == 0 => {
                Some(Reason::EmptyBucket { size, refill })
            }
            (Model::TokenBucket { refill, .. }, _) if refill > self.limit => {
                Some(Reason::FastBucket { refill, per })
            }
            (Model::TokenBucket { size, .. }, Some(burst)) if burst > size => {
                Some(Reason::BurstOverBucket { burst, size })
            }
            (Model::Unknown, Some(burst)) if burst > (self.limit / 2).max(1) => {
                Some(Reason::Burst { burst, per })
            }
            (_, Some(burst)) if burst > self.limit && self.is_held_by_slots() => {
                Some(Reason::BurstOverLimit { burst, per })
            }
            _ => None,
        }
    }

    /// Returns the pace for costs up to `highest`. A heavy request takes the room of a burst.
    pub(crate) fn pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        match self.model {
            Model::Unknown => self.even_pace(uncertainty, highest),
            Model::SlidingLog | Model::FixedWindow => self.slots_pace(uncertainty, highest),
            Model::TokenBucket { size, refill } => {
                self.bucket_pace(uncertainty, highest, size, refill)
            }
        }
    }

    /// Returns the pace of the first window.
    ///
    /// A process that was just started may have sent requests before, and other processes may start
    /// with it. So every model has at most the pace of an unknown server, without a burst. An
    /// unknown server has its usual pace, and its burst builds up.
    pub(crate) fn starting_pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        let own = self.pace(uncertainty, highest);
        if self.model == Model::Unknown {
            return own;
        }
        let unknown = Self {
            model: Model::Unknown,
            burst: Some(1),
            ..*self
        };
        let even = unknown.even_pace(uncertainty, highest);
        Pace {
            interval: own.interval.max(even.interval),
            ..own.steady()
        }
    }

    /// Returns the pace of an unknown server.
    ///
    /// The requests of one window depart within window + jitter + lateness. In any interval of that
    /// length, burst + highest - 1 may depart at once, and the rest of the limit is spread evenly.
    fn even_pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        let span = (self.counted_window() + uncertainty.jitter + uncertainty.lateness).nanos();
        let burst = self.even_burst(highest);
        let memory = span.saturating_mul(2);
        let spread = self
            .limit
            .saturating_sub((burst - 1).saturating_add(highest));
        let interval = match spread {
            // Nothing is left to spread: only one heavy request departs in the memory.
            0 => memory,
            spread => span.div_ceil(u64::from(spread)),
        };
        Pace {
            interval: Span::from_nanos(interval),
            lateness: uncertainty.lateness,
            burst,
            highest,
            memory: Span::from_nanos(memory),
        }
    }

    /// Returns the burst of an unknown server. It takes at most half of the limit that the highest
    /// request leaves, so that the other half is spread.
    fn even_burst(&self, highest: u32) -> u32 {
        let default = match self.has_allowance() {
            true => (self.limit / LONG_WINDOW_BURST).max(1),
            false => 1,
        };
        let most = (self.limit.saturating_sub(highest) / 2).max(1);
        self.burst.unwrap_or(default).min(most)
    }

    /// Returns the pace of a sliding log or a fixed window. Its slots keep the limit, so the
    /// interval only spreads the requests.
    fn slots_pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        let span = self.counted_window();
        Pace {
            interval: Span::from_nanos(span.nanos().div_ceil(u64::from(self.limit))),
            lateness: uncertainty.lateness.max(SLOTS_LATENESS),
            burst: self.burst.unwrap_or(1),
            highest,
            memory: span,
        }
    }

    /// Returns the pace of a token bucket.
    ///
    /// Requests that arrive at once must fit into the bucket. The interval is at least the time of
    /// a token, and long enough that the jitter cannot collect more requests than the bucket holds.
    fn bucket_pace(&self, uncertainty: Uncertainty, highest: u32, size: u32, refill: u32) -> Pace {
        let (window, refill) = (nanos(self.window), u64::from(refill));
        let jitter = (uncertainty.jitter + uncertainty.lateness).nanos();
        let token = window.div_ceil(refill);
        let room = u64::from(size - highest.min(size) + 1);
        let interval = token.max((token + jitter).div_ceil(room));
        let full = token.saturating_mul(u64::from(size)).saturating_add(jitter);
        Pace {
            interval: Span::from_nanos(with_drift(interval)),
            lateness: uncertainty.lateness,
            burst: self.bucket_burst(size, highest, jitter.div_ceil(token)),
            highest,
            memory: Span::from_nanos(with_drift(full)),
        }
    }

    /// Returns the burst of a token bucket: the tokens that remain after those of the jitter and of
    /// the highest cost.
    fn bucket_burst(&self, size: u32, highest: u32, jitter: u64) -> u32 {
        let taken = u32::try_from(jitter).unwrap_or(u32::MAX);
        let remaining = size.saturating_sub(taken.saturating_add(highest - 1));
        remaining.max(1).min(self.burst.unwrap_or(u32::MAX))
    }
}

/// Returns a time of the server as it is counted here: its clock may be slower by 500 ppm.
fn with_drift(nanos: u64) -> u64 {
    nanos.saturating_add(nanos.div_ceil(2_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNCERTAINTY: Uncertainty = Uncertainty {
        jitter: Span::of(Duration::from_millis(100)),
        lateness: Span::of(Duration::from_millis(2)),
    };

    #[test]
    fn the_largest_numbers_leave_a_pace() {
        let most = u32::MAX;
        let models = [
            Model::Unknown,
            Model::SlidingLog,
            Model::TokenBucket {
                size: most,
                refill: most,
            },
        ];
        for (model, burst) in models.map(|model| (model, most / 2)) {
            let policy = Policy {
                model,
                burst: Some(burst),
                ..Policy::new(most, Duration::from_secs(366 * 24 * 60 * 60))
            };
            let pace = policy.starting_pace(UNCERTAINTY, most);
            assert!(pace.interval > Span::ZERO && pace.spacing(most) <= pace.memory);
            assert!(pace.largest_burst() >= most - 1 && pace.slack() >= pace.lateness);
            assert!(pace.time_beyond_burst(u64::MAX) > pace.memory);
        }
    }

    const UNKNOWN: Policy = Policy::new(100, Duration::from_secs(1));

    fn bucket(size: u32, refill: u32) -> Policy {
        Policy {
            model: Model::TokenBucket { size, refill },
            ..UNKNOWN
        }
    }

    fn log() -> Policy {
        Policy {
            model: Model::SlidingLog,
            ..UNKNOWN
        }
    }

    #[test]
    fn the_interval_of_an_unknown_server_is_rounded_up() {
        fn check(limit: u32, highest: u32, nanos: u64) {
            let policy = Policy { limit, ..UNKNOWN };
            let interval = policy.pace(UNCERTAINTY, highest).interval;
            assert_eq!(interval, Span::from_nanos(nanos), "{limit} by {highest}");
        }
        let span = 1_000_500_000 + 1_000_000 + 102_000_000;
        check(1, 1, 2 * span);
        check(2, 1, span);
        check(4, 1, 367_833_334);
        check(100, 1, 11_146_465);
        check(100, 90, span / 10);
        check(100, 100, 2 * span);
    }

    #[test]
    fn a_burst_lowers_the_rate() {
        let burst = Some(21);
        let pace = Policy { burst, ..UNKNOWN }.pace(UNCERTAINTY, 1);
        assert_eq!(pace.interval, Span::from_nanos(13_968_355));
        assert_eq!(pace.slack(), UNCERTAINTY.lateness + pace.interval * 20);
        assert_eq!(pace.steady().slack(), UNCERTAINTY.lateness);
        assert_eq!(
            (pace.largest_burst(), pace.steady().largest_burst()),
            (21, 1)
        );
        let heavy = Policy { burst, ..UNKNOWN }.pace(UNCERTAINTY, 5);
        assert_eq!(
            (heavy.largest_burst(), heavy.steady().largest_burst()),
            (25, 5)
        );
        let interval = heavy.interval.nanos();
        let beyond = [24, 25, 27].map(|cost| heavy.time_beyond_burst(cost).nanos());
        assert_eq!(beyond, [0, 0, 2 * interval]);
    }

    #[test]
    fn a_burst_takes_at_most_half_of_what_a_heavy_request_leaves() {
        fn check(limit: u32, burst: u32, highest: u32, expected: u32) {
            let policy = Policy {
                limit,
                burst: Some(burst),
                ..UNKNOWN
            };
            assert_eq!(
                policy.pace(UNCERTAINTY, highest).burst,
                expected,
                "{burst} {highest}"
            );
        }
        check(100, 50, 1, 49);
        check(100, 20, 50, 20);
        check(100, 30, 50, 25);
        check(100, 30, 98, 1);
        check(100, 30, 100, 1);
        check(1, 1, 1, 1);
    }

    #[test]
    fn a_long_window_has_a_fiftieth_as_its_burst() {
        fn check(limit: u32, seconds: u64, burst: Option<u32>, expected: u32) {
            let policy = Policy {
                burst,
                ..Policy::new(limit, Duration::from_secs(seconds))
            };
            assert_eq!(
                policy.pace(UNCERTAINTY, 1).burst,
                expected,
                "{limit} in {seconds} s"
            );
        }
        check(5_000, 3_600, None, 100);
        check(5_000, 60, None, 100);
        check(5_000, 59, None, 1);
        check(10, 3_600, None, 1);
        check(5_000, 3_600, Some(7), 7);
    }

    #[test]
    fn a_sliding_log_and_a_fixed_window_are_spaced_by_their_rate_and_held_by_slots() {
        let interval = Span::from_nanos(10_015_000);
        for model in [Model::SlidingLog, Model::FixedWindow] {
            let pace = Policy { model, ..UNKNOWN }.pace(UNCERTAINTY, 40);
            assert_eq!((pace.interval, pace.lateness), (interval, SLOTS_LATENESS));
        }
        let coarse = Uncertainty {
            lateness: Span::of(Duration::from_millis(30)),
            ..UNCERTAINTY
        };
        assert_eq!(log().pace(coarse, 1).lateness, coarse.lateness);
    }

    /// The uncertainty takes 10.2 tokens. A full bucket has room for them and the burst.
    #[test]
    fn a_bucket_is_spaced_by_its_refill_and_its_burst_has_room_for_the_uncertainty() {
        fn check(size: u32, highest: u32, burst: u32, nanos: u64) {
            let pace = bucket(size, 100).pace(UNCERTAINTY, highest);
            assert_eq!(
                (pace.burst, pace.interval),
                (burst, Span::from_nanos(nanos)),
                "{size} by {highest}"
            );
        }
        check(100, 1, 89, 10_005_000);
        check(12, 1, 1, 10_005_000);
        check(10, 1, 1, 11_205_600);
        check(1, 1, 1, 112_056_000);
        check(100, 80, 10, 10_005_000);
        check(100, 95, 1, 18_676_001);
        check(100, 100, 1, 112_056_000);
    }

    #[test]
    fn a_start_has_the_interval_of_an_unknown_server_and_no_burst() {
        let unknown = UNKNOWN.pace(UNCERTAINTY, 1).interval;
        let burst = Some(60);
        for policy in [log(), Policy { burst, ..log() }, bucket(80, 100)] {
            let pace = policy.starting_pace(UNCERTAINTY, 1);
            assert_eq!((pace.interval, pace.burst), (unknown, 1));
        }
        let slow = bucket(1, 1).starting_pace(UNCERTAINTY, 1);
        assert_eq!(slow.interval, bucket(1, 1).pace(UNCERTAINTY, 1).interval);
        let one = Policy { limit: 1, ..log() };
        let unknown = Policy {
            limit: 1,
            ..UNKNOWN
        };
        assert_eq!(
            one.starting_pace(UNCERTAINTY, 1).interval,
            unknown.pace(UNCERTAINTY, 1).interval
        );
    }

    #[test]
    fn an_unknown_server_starts_at_its_own_pace_and_with_its_burst() {
        let burst = Some(20);
        for policy in [UNKNOWN, Policy { burst, ..UNKNOWN }] {
            assert_eq!(
                policy.starting_pace(UNCERTAINTY, 1),
                policy.pace(UNCERTAINTY, 1)
            );
        }
    }

    #[test]
    fn a_bucket_is_held_by_its_pace_and_a_log_by_its_slots() {
        fn check(policy: Policy, by_slots: bool, spaces_costs: bool) {
            assert_eq!(
                (policy.is_held_by_slots(), policy.spaces_costs()),
                (by_slots, spaces_costs),
                "{policy:?}"
            );
        }
        check(UNKNOWN, true, true);
        check(log(), true, false);
        check(bucket(80, 100), false, true);
    }
}
