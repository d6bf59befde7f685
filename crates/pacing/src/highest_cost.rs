use crate::Moment;
use crate::moment::Span;

/// The highest cost that left in the last one to two `memory` periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HighestCost {
    current: u32,
    before: u32,
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
    /// Returns the highest cost that left within the last `memory` before `now`; at least 1.
    #[inline]
    pub(crate) fn at(&self, now: Moment, memory: Span) -> u32 {
        let turned = self.turned(now, memory);
        turned.current.max(turned.before)
    }

    /// Returns when the highest cost may be forgotten next after `now`, if nothing leaves.
    pub(crate) fn drops_at(&self, now: Moment, memory: Span) -> Option<Moment> {
        let turns = [memory, memory * 2].map(|memory| self.since + memory);
        turns.into_iter().find(|&turn| turn > now)
    }

    /// Records a cost that leaves at `now`. Returns whether that changes anything.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u32, now: Moment, memory: Span) -> bool {
        // Most requests are no heavier than those before them.
        if cost <= self.current && now.span_since(self.since) < memory {
            return false;
        }
        *self = self.turned(now, memory);
        self.current = self.current.max(cost);
        true
    }

    #[inline]
    fn turned(self, now: Moment, memory: Span) -> Self {
        match now.span_since(self.since) {
            passed if passed < memory => self,
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
    fn a_heavy_cost_is_remembered_for_its_time_and_forgotten_after_twice_that() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(3, at(10_001), MEMORY);
        for (now, expected) in [(10_001, 7), (12_000, 7), (13_999, 7), (14_000, 1)] {
            assert_eq!(highest.at(at(now), MEMORY), expected, "{now}");
        }
    }

    #[test]
    fn it_says_when_a_heavy_cost_may_be_forgotten() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(9, at(11_000), MEMORY);
        for (now, falls) in [
            (11_000, Some(12_000)),
            (11_999, Some(12_000)),
            (12_000, Some(14_000)),
            (13_999, Some(14_000)),
            (14_000, None),
        ] {
            let falls = falls.map(at);
            assert_eq!(highest.drops_at(at(now), MEMORY), falls, "{now}");
        }
    }

    #[test]
    fn light_costs_do_not_keep_a_heavy_one_alive() {
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
    fn of_two_heavy_costs_the_later_one_outlives_the_earlier() {
        let mut highest = HighestCost::default();
        highest.depart(7, at(10_000), MEMORY);
        highest.depart(4, at(12_500), MEMORY);
        assert_eq!(highest.at(at(14_499), MEMORY), 7);
        assert_eq!(highest.at(at(14_500), MEMORY), 4);
    }
}
