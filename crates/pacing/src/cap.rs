use crate::conditions::Conditions;
use crate::moment::Span;
use crate::policy::{Pace, Policy};
use crate::{Model, Moment};

/// Holds requests back while more are unproven than depart in a typical round trip.
///
/// The path may be blocked then, and would deliver all of them at once when it opens. Meanwhile
/// single requests probe the path, at gaps that double up to `max_transit`. So the hold always
/// ends.
///
/// Slow, hung and long-polling requests do not count for the cap: an answer to a later request
/// proves the path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cap {
    /// The probes that departed since the last proof.
    probes: u32,
}

impl Cap {
    /// Returns the moment of the next probe; none if the cap holds nothing back.
    ///
    /// Requests are held back while the unproven cost is at least burst + (round trip + jitter) /
    /// interval.
    ///
    /// The burst is the largest cost that the pace lets arrive at once, including its highest
    /// request. It is bounded by three quarters of the limit, or by the highest cost: otherwise
    /// a heavy request beside a burst could fill the window in one block. Where slots hold the rate
    /// below the pace, the interval is that of the slots.
    #[inline]
    pub(crate) fn probe(
        self,
        policy: &Policy,
        pace: &Pace,
        conditions: Conditions<'_>,
    ) -> Option<Moment> {
        let unproven = conditions.shared.path.unproven().counted(policy.unit);
        // The usual case. A burst has room for the highest cost at least, so the rest is not
        // needed.
        if unproven < pace.highest.into() {
            return None;
        }
        let most = policy.most();
        let burst = pace
            .largest_burst()
            .min(pace.highest.max(most - most.div_ceil(4)));
        let beyond = unproven.checked_sub(burst.into())?;
        self.probe_beyond(beyond, policy, pace.interval, conditions)
    }

    /// Returns the same, if the unproven cost exceeds the burst by `beyond`.
    // Never inlined: this is rare, and its 128-bit arithmetic would crowd out the usual call.
    #[inline(never)]
    fn probe_beyond(
        self,
        beyond: u64,
        policy: &Policy,
        interval: Span,
        conditions: Conditions<'_>,
    ) -> Option<Moment> {
        let beyond = u128::from(beyond);
        let usual = u128::from((conditions.round_trip() + conditions.jitter()).nanos());
        let is_beyond_pace = beyond * u128::from(interval.nanos()) >= usual;
        if !is_beyond_pace && !is_beyond_slots(policy, beyond, usual, conditions) {
            return None;
        }
        let last = conditions.shared.path.last_departure()?;
        // A shorter first gap would send a probe before the answer to the last one can arrive.
        let gap = interval.max(conditions.jitter());
        let longest = gap.max(conditions.shared.transit);
        // At 62 doublings every gap is above the longest. A shift by 64 would overflow.
        let doubled = gap.nanos().saturating_mul(1 << self.probes.min(62));
        Some(last + longest.min(Span::from_nanos(doubled)))
    }

    /// Records a departure while requests are held back.
    #[inline]
    pub(crate) fn record_probe(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }

    /// Records a proof of the path: the gaps start again with the first one.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.probes = 0;
    }
}

/// Returns whether `beyond` is more than the slots let depart in the usual round trip.
///
/// A slot is held for a window and the round trip, so that is the time of a whole limit. A bucket
/// has no slots.
fn is_beyond_slots(policy: &Policy, beyond: u128, usual: u128, conditions: Conditions<'_>) -> bool {
    if matches!(policy.model, Model::TokenBucket { .. }) {
        return false;
    }
    let held = policy.counted_window() + conditions.round_trip().min(conditions.shared.transit);
    beyond * u128::from(held.nanos()) >= usual * u128::from(policy.limit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::conditions::Shared;
    use crate::jitter::Jitter;
    use crate::path::Path;
    use crate::recovery::Recovery;
    use crate::unit::{Load, Unit};

    const SECOND: Duration = Duration::from_secs(1);
    const UNKNOWN: Policy = Policy::new(100, SECOND);
    const PACE: Pace = Pace {
        interval: millis(20),
        lateness: millis(2),
        burst: 1,
        highest: 1,
        memory: millis(2_000),
    };

    const fn millis(millis: u64) -> Span {
        Span::of(Duration::from_millis(millis))
    }

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    /// A round trip of 100 ms; the last departure was at 10 s.
    fn path(unproven: u64) -> Path {
        slow_path(millis(100), unproven)
    }

    fn slow_path(round_trip: Span, cost: u64) -> Path {
        Path::with(round_trip, Load { requests: 7, cost }, at(10_000))
    }

    /// Returns when the next probe departs, with a jitter of 50 ms.
    fn probe(cap: Cap, policy: &Policy, pace: &Pace, path: &Path) -> Option<Moment> {
        let conditions = Conditions {
            now: at(10_001),
            shared: &Shared {
                transit: millis(1_000),
                path: *path,
                jitter: Jitter::new(Duration::from_millis(50)),
                recovery: Recovery::full(SECOND),
                unanswered: None,
            },
        };
        cap.probe(policy, pace, conditions)
    }

    /// The least unproven cost that holds requests back.
    fn holds_from(policy: &Policy, pace: &Pace) -> u64 {
        let holds = |&cost: &u64| probe(Cap::default(), policy, pace, &path(cost)).is_some();
        (0..1_000).find(holds).expect("it holds sooner or later")
    }

    #[test]
    fn requests_are_held_back_beyond_a_burst_and_a_round_trip() {
        fn check(burst: u32, highest: u32, expected: u64) {
            let pace = Pace {
                burst,
                highest,
                ..PACE
            };
            let from = holds_from(&UNKNOWN, &pace);
            assert_eq!(from, expected, "{burst} {highest}");
        }
        // 150 ms take 7.5 intervals of 20 ms.
        check(1, 1, 1 + 8);
        check(10, 1, 10 + 8);
        check(10, 5, 14 + 8);
        // A burst is at most 75, unless one request costs more.
        check(60, 40, 75 + 8);
        check(20, 90, 90 + 8);
    }

    #[test]
    fn the_interval_of_the_slots_counts_where_they_hold_the_rate_below_the_pace() {
        let fast = Pace {
            interval: millis(1),
            ..PACE
        };
        // (1001.5 ms + 100 ms) / 100 = 11.015 ms; 150 ms take 13.6 of them.
        assert_eq!(holds_from(&UNKNOWN, &fast), 1 + 14);
        let slow = |cost| slow_path(millis(30_000), cost);
        // Slots are held for 1 s and the window at most: 20.015 ms; 30.05 s take 1501.4 of them.
        let large = Policy {
            limit: 10_000,
            ..UNKNOWN
        };
        assert!(probe(Cap::default(), &UNKNOWN, &fast, &slow(0)).is_none());
        let holds = |policy, cost| probe(Cap::default(), policy, &PACE, &slow(cost));
        assert!(holds(&UNKNOWN, 1_501).is_none() && holds(&UNKNOWN, 1_503).is_some());
        // And the pace where that is slower than the slots.
        assert!(holds(&large, 1_502).is_none() && holds(&large, 1_504).is_some());
        let model = Model::TokenBucket {
            size: 100,
            refill: 100,
        };
        let bucket = Policy { model, ..UNKNOWN };
        assert_eq!(holds_from(&bucket, &fast), 1 + 150);
    }

    #[test]
    fn a_limit_in_requests_counts_requests() {
        let by_request = Policy {
            unit: Unit::Request,
            ..UNKNOWN
        };
        let cap = Cap::default();
        assert!(probe(cap, &by_request, &PACE, &path(500)).is_none());
        assert!(probe(cap, &UNKNOWN, &PACE, &path(500)).is_some());
    }

    #[test]
    fn probes_depart_at_gaps_that_double_up_to_the_transit_until_a_proof() {
        let mut cap = Cap::default();
        let mut gaps = Vec::new();
        for _ in 0..7 {
            let next = probe(cap, &UNKNOWN, &PACE, &path(500));
            let gap = next.expect("it holds").since(at(10_000));
            gaps.push(gap.as_millis());
            cap.record_probe();
        }
        assert_eq!(gaps, [50, 100, 200, 400, 800, 1_000, 1_000]);
        cap.probes = u32::MAX;
        cap.record_probe();
        let next = probe(cap, &UNKNOWN, &PACE, &path(500));
        assert_eq!(next, Some(at(11_000)));
        cap.reset();
        let next = probe(cap, &UNKNOWN, &PACE, &path(500));
        assert_eq!(next, Some(at(10_050)));
        // An interval that is longer than jitter and transit is the gap.
        let slow = Pace {
            interval: millis(3_000),
            ..PACE
        };
        let next = probe(cap, &UNKNOWN, &slow, &path(500));
        assert_eq!(next, Some(at(13_000)));
    }
}
