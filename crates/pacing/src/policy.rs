use std::time::Duration;

use crate::Model;
use crate::error::{Rate, Reason};
use crate::moment::{Span, nanos};
use crate::unit::Unit;

/// How late a request may leave and keep its place, where the slots alone keep the promise.
const GUARDED_LATENESS: Span = Span::of(Duration::from_millis(20));

/// From this window on an unknown server has a burst by default, and what it states to remain may
/// leave at once. The interval is so long there that a short program would only wait.
const LONG_WINDOW: Duration = Duration::from_secs(60);
/// The burst of an unknown server with a long window: this part of the limit. It costs 2 % of the
/// rate.
const LONG_WINDOW_BURST: u32 = 50;

/// One limit of a quota: what the server allows and how it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) model: Model,
    /// As asked for; otherwise the model's own.
    pub(crate) burst: Option<u32>,
    pub(crate) unit: Unit,
}

/// By how much the time between a slot and the arrival at the server may vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uncertainty {
    /// What the path adds.
    pub(crate) jitter: Span,
    /// What our own timers add.
    pub(crate) lateness: Span,
}

/// How fast requests may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The time that a cost of one takes.
    pub(crate) interval: Span,
    /// How late after its slot a request may leave without losing it.
    pub(crate) lateness: Span,
    /// How many may leave at once after an idle time.
    pub(crate) burst: u32,
    /// The highest request that the pace has room for.
    pub(crate) highest: u32,
    /// After this time of silence the server has forgotten everything.
    pub(crate) memory: Span,
}

impl Pace {
    /// Returns the time that a cost takes.
    #[inline]
    pub(crate) fn charge(&self, cost: u32) -> Span {
        (self.interval * cost).min(self.memory)
    }

    /// Returns how far a slot may lie back.
    #[inline]
    pub(crate) fn slack(&self) -> Span {
        match self.burst {
            1 => self.lateness,
            burst => self.lateness + self.interval * (burst - 1),
        }
    }

    /// Returns the cost that may arrive at once when nothing goes wrong.
    #[inline]
    pub(crate) fn lump(&self) -> u32 {
        self.burst.saturating_add(self.highest - 1)
    }

    /// Returns the time that more cost takes than may arrive at once.
    #[inline]
    pub(crate) fn beyond_lump(&self, cost: u64) -> Span {
        let beyond = cost.saturating_sub(self.lump().into());
        Span::from_nanos(self.interval.nanos().saturating_mul(beyond))
    }

    /// Returns the same without a burst.
    pub(crate) fn steady(self) -> Self {
        Self { burst: 1, ..self }
    }
}

impl Policy {
    pub(crate) const fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            model: Model::Unknown,
            burst: None,
            unit: Unit::Cost,
        }
    }

    /// Returns the window as it has to be counted here: clocks may differ by 500 ppm, and the last
    /// tick counts.
    pub(crate) fn counted_window(&self) -> Span {
        let window = nanos(self.window);
        Span::from_nanos(window + window.div_ceil(2_000) + 1_000_000)
    }

    /// Returns the time in which a server that refills evenly gives back one.
    pub(crate) fn share(&self) -> Span {
        let window = self.counted_window().nanos();
        Span::from_nanos(window.div_ceil(u64::from(self.limit)))
    }

    /// Returns the largest cost that can ever leave.
    #[inline]
    pub(crate) fn most(&self) -> u32 {
        match self.model {
            Model::TokenBucket { size, .. } => size,
            _ => self.limit,
        }
    }

    /// Returns whether slots hold requests back. A bucket may be smaller than the limit, so the
    /// pace keeps it.
    #[inline]
    pub(crate) fn is_guarded(&self) -> bool {
        !matches!(self.model, Model::TokenBucket { .. })
    }

    /// Returns whether the pace has to make room for heavy requests. A log and a fixed window are
    /// kept by their slots.
    #[inline]
    pub(crate) fn spaces_costs(&self) -> bool {
        !matches!(self.model, Model::SlidingLog | Model::FixedWindow)
    }

    /// Returns whether the window is long enough to use up what the server states to remain.
    pub(crate) fn has_allowance(&self) -> bool {
        self.window >= LONG_WINDOW
    }

    /// Says what about it cannot hold.
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
            (_, Some(burst)) if burst > self.limit && self.is_guarded() => {
                Some(Reason::BurstOverLimit { burst, per })
            }
            _ => None,
        }
    }

    /// Returns the pace for costs up to `highest`: a heavy request takes the room of a burst.
    pub(crate) fn pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        match self.model {
            Model::Unknown => self.even_pace(uncertainty, highest),
            Model::SlidingLog | Model::FixedWindow => self.guarded_pace(uncertainty, highest),
            Model::TokenBucket { size, refill } => {
                self.bucket_pace(uncertainty, highest, size, refill)
            }
        }
    }

    /// Returns the pace of the first window: a process that was just started knows neither what it
    /// sent before nor whether others start with it. An unknown server has its usual pace, and its
    /// burst builds up.
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

    /// Any interval of window + jitter + lateness has room for burst + rate: (burst + highest - 1)
    /// at once, and the rest spread evenly.
    fn even_pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        let span = (self.counted_window() + uncertainty.jitter + uncertainty.lateness).nanos();
        let burst = self.even_burst(highest);
        let memory = span.saturating_mul(2);
        let spread = self
            .limit
            .saturating_sub((burst - 1).saturating_add(highest));
        let interval = match spread {
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

    /// A heavy request takes the room of a burst: both together leave half of the limit.
    fn even_burst(&self, highest: u32) -> u32 {
        let default = match self.has_allowance() {
            true => (self.limit / LONG_WINDOW_BURST).max(1),
            false => 1,
        };
        let most = (self.limit.saturating_sub(highest) / 2).max(1);
        self.burst.unwrap_or(default).min(most)
    }

    fn guarded_pace(&self, uncertainty: Uncertainty, highest: u32) -> Pace {
        let span = self.counted_window();
        Pace {
            interval: Span::from_nanos(span.nanos().div_ceil(u64::from(self.limit))),
            lateness: uncertainty.lateness.max(GUARDED_LATENESS),
            burst: self.burst.unwrap_or(1),
            highest,
            memory: span,
        }
    }

    /// Whatever arrives together must fit into the bucket, and one more only when a token came back
    /// for it.
    fn bucket_pace(&self, uncertainty: Uncertainty, highest: u32, size: u32, refill: u32) -> Pace {
        let (window, refill) = (nanos(self.window), u64::from(refill));
        let jitter = (uncertainty.jitter + uncertainty.lateness).nanos();
        let token = window.div_ceil(refill);
        let lumped = u64::from(size - highest.min(size) + 1);
        let interval = token.max((token + jitter).div_ceil(lumped));
        let full = token.saturating_mul(u64::from(size)).saturating_add(jitter);
        Pace {
            interval: Span::from_nanos(with_drift(interval)),
            lateness: uncertainty.lateness,
            burst: self.bucket_burst(size, highest, jitter.div_ceil(token)),
            highest,
            memory: Span::from_nanos(with_drift(full)),
        }
    }

    /// The jitter takes its part of the bucket, and so does a heavy request.
    fn bucket_burst(&self, size: u32, highest: u32, jitter: u64) -> u32 {
        let taken = u32::try_from(jitter).unwrap_or(u32::MAX);
        let left = size.saturating_sub(taken.saturating_add(highest - 1));
        left.max(1).min(self.burst.unwrap_or(u32::MAX))
    }
}

/// The server's clock may be slower by 500 ppm.
fn with_drift(nanos: u64) -> u64 {
    nanos.saturating_add(nanos.div_ceil(2_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLIP: Uncertainty = Uncertainty {
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
            let pace = policy.starting_pace(SLIP, most);
            assert!(pace.interval > Span::ZERO && pace.charge(most) <= pace.memory);
            assert!(pace.lump() >= most - 1 && pace.slack() >= pace.lateness);
            assert!(pace.beyond_lump(u64::MAX) > pace.memory);
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
    fn an_unknown_server_is_spaced_by_the_rounded_up_share_of_window_and_slip() {
        fn check(limit: u32, highest: u32, nanos: u64) {
            let policy = Policy { limit, ..UNKNOWN };
            let interval = policy.pace(SLIP, highest).interval;
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
    fn a_burst_is_paid_by_the_rate() {
        let burst = Some(21);
        let pace = Policy { burst, ..UNKNOWN }.pace(SLIP, 1);
        assert_eq!(pace.interval, Span::from_nanos(13_968_355));
        assert_eq!(pace.slack(), SLIP.lateness + pace.interval * 20);
        assert_eq!(pace.steady().slack(), SLIP.lateness);
        assert_eq!((pace.lump(), pace.steady().lump()), (21, 1));
        let heavy = Policy { burst, ..UNKNOWN }.pace(SLIP, 5);
        assert_eq!((heavy.lump(), heavy.steady().lump()), (25, 5));
        let interval = heavy.interval.nanos();
        let beyond = [24, 25, 27].map(|cost| heavy.beyond_lump(cost).nanos());
        assert_eq!(beyond, [0, 0, 2 * interval]);
    }

    #[test]
    fn a_burst_and_a_heavy_request_leave_half_of_the_limit() {
        fn check(limit: u32, burst: u32, highest: u32, expected: u32) {
            let policy = Policy {
                limit,
                burst: Some(burst),
                ..UNKNOWN
            };
            assert_eq!(
                policy.pace(SLIP, highest).burst,
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
                policy.pace(SLIP, 1).burst,
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
    fn a_log_and_a_fixed_window_leave_the_rest_to_the_acknowledged_window() {
        let interval = Span::from_nanos(10_015_000);
        for model in [Model::SlidingLog, Model::FixedWindow] {
            let pace = Policy { model, ..UNKNOWN }.pace(SLIP, 40);
            assert_eq!((pace.interval, pace.lateness), (interval, GUARDED_LATENESS));
        }
        let coarse = Uncertainty {
            lateness: Span::of(Duration::from_millis(30)),
            ..SLIP
        };
        assert_eq!(log().pace(coarse, 1).lateness, coarse.lateness);
    }

    /// As the uncertainty takes 10.2 tokens: a full bucket has room for that and the burst.
    #[test]
    fn a_bucket_gives_its_refill_and_what_the_slip_leaves_of_its_size() {
        fn check(size: u32, highest: u32, burst: u32, nanos: u64) {
            let pace = bucket(size, 100).pace(SLIP, highest);
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
    fn a_start_is_as_slow_as_an_unknown_server_needs_without_a_burst() {
        let unknown = UNKNOWN.pace(SLIP, 1).interval;
        let burst = Some(60);
        for policy in [log(), Policy { burst, ..log() }, bucket(80, 100)] {
            let pace = policy.starting_pace(SLIP, 1);
            assert_eq!((pace.interval, pace.burst), (unknown, 1));
        }
        let slow = bucket(1, 1).starting_pace(SLIP, 1);
        assert_eq!(slow.interval, bucket(1, 1).pace(SLIP, 1).interval);
        let one = Policy { limit: 1, ..log() };
        let unknown = Policy {
            limit: 1,
            ..UNKNOWN
        };
        assert_eq!(
            one.starting_pace(SLIP, 1).interval,
            unknown.pace(SLIP, 1).interval
        );
    }

    #[test]
    fn an_unknown_server_starts_at_its_own_pace_and_with_its_burst() {
        let burst = Some(20);
        for policy in [UNKNOWN, Policy { burst, ..UNKNOWN }] {
            assert_eq!(policy.starting_pace(SLIP, 1), policy.pace(SLIP, 1));
        }
    }

    #[test]
    fn a_bucket_is_kept_by_its_pace_and_a_log_by_its_slots() {
        fn check(policy: Policy, guarded: bool, spaces_costs: bool) {
            assert_eq!(
                (policy.is_guarded(), policy.spaces_costs()),
                (guarded, spaces_costs),
                "{policy:?}"
            );
        }
        check(UNKNOWN, true, true);
        check(log(), true, false);
        check(bucket(80, 100), false, true);
    }
}
