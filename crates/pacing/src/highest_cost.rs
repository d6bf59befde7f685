use crate::Moment;
use crate::moment::Span;

/// The highest cost that departed in the last one to two `memory` periods.
///
/// Two periods are enough: an exact answer would need an entry for each departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HighestCost {
    /// The highest cost of the current period.
    current: u32,
    /// The highest cost of the period before it.
    before: u32,
    /// The start of the current period.
    since: Moment,
}

impl Default for HighestCost {
    fn default() -> Self {
        Self {
            current: 1,
            before: 1,
            since: Moment::ORIGIN,
        }
    }
}

impl HighestCost {
    /// Returns at least the highest cost that departed within the last `memory` before `now`. It is
    /// 1 or more.
    #[inline]
    pub(crate) fn at(&self, now: Moment, memory: Span) -> u32 {
        let rotated = self.rotated(now, memory);
        rotated.current.max(rotated.before)
    }

    /// Returns when the highest cost may be forgotten next after `now`, if nothing departs.
    pub(crate) fn drops_at(&self, now: Moment, memory: Span) -> Option<Moment> {
        let ends = [memory, memory * 2].map(|memory| self.since + memory);
        ends.into_iter().find(|&end| end > now)
    }

    /// Records a cost that departs at `now`. Returns whether the highest cost, or the time at which
    /// it is forgotten, may have changed.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u32, now: Moment, memory: Span) -> bool {
        // Most requests are no heavier than those before them.
        if cost <= self.current && now.span_since(self.since) < memory {
            return false;
        }
        *self = self.rotated(now, memory);
        self.current = self.current.max(cost);
        true
    }

    /// Returns the state at `now`, with a new period if the current one is over.
    #[inline]
    fn rotated(self, now: Moment, memory: Span) -> Self {
        match now.span_since(self.since) {
            passed if passed < memory => self,
            // The current period becomes the one before, unless that is over as well.
            passed => Self {
                current: 1,
                before: if passed < memory * 2 { self.current } else { 1 },
                since: now,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MEMORY: Span = Span::of(Duration::from_secs(2));

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_high_cost_is_remembered_for_one_period_and_forgotten_after_two() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(3, at(10_001), MEMORY);
        for (now, expected) in [(10_001, 7), (12_000, 7), (13_999, 7), (14_000, 1)] {
            assert_eq!(highest.at(at(now), MEMORY), expected, "{now}");
        }
    }

    #[test]
    fn the_time_at_which_a_high_cost_may_be_forgotten_is_known() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(9, at(11_000), MEMORY);
        for (now, drops) in [
            (11_000, Some(12_000)),
            (11_999, Some(12_000)),
            (12_000, Some(14_000)),
            (13_999, Some(14_000)),
            (14_000, None),
        ] {
            let drops = drops.map(at);
            assert_eq!(highest.drops_at(at(now), MEMORY), drops, "{now}");
        }
    }

    #[test]
    fn low_costs_do_not_prolong_the_memory_of_a_high_one() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        for now in 10_001..14_000 {
            highest.depart(1, at(now), MEMORY);
            assert_eq!(highest.at(at(now), MEMORY), 7);
        }
        highest.depart(1, at(14_000), MEMORY);
        assert_eq!(highest.at(at(14_000), MEMORY), 1);
    }

    #[test]
    fn the_later_of_two_high_costs_is_remembered_longer() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(4, at(12_500), MEMORY);
        assert_eq!(highest.at(at(14_499), MEMORY), 7);
        assert_eq!(highest.at(at(14_500), MEMORY), 4);
    }
}
