use std::time::Duration;

use crate::Moment;
use crate::moment::Span;
use crate::policy::Pace;

/// The longest wait before the very first departure.
const LONGEST_START: Span = Span::of(Duration::from_millis(100));

/// Evenly spaced departure slots.
///
/// A request may leave a little after its slot and keeps it, so that a late timer costs no throughput. What is later
/// than that is lost and never caught up in a lump. A heavy request takes as many slots as it costs.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    next: Moment,
    last: Option<Moment>,
}

impl Schedule {
    /// Starts at `now`; the first slot lies one interval later, but no more than 100 ms.
    ///
    /// It is never at once: a process that was just restarted has forgotten what it sent before.
    pub(crate) fn starting(now: Moment, pace: &Pace) -> Self {
        Self {
            next: now + pace.interval.min(LONGEST_START),
            last: None,
        }
    }

    /// Returns the moment from which the next request may leave.
    #[must_use]
    pub fn next(&self) -> Moment {
        self.next
    }

    /// Records a departure at `now`, which takes `cost` slots.
    pub(crate) fn depart(&mut self, now: Moment, pace: &Pace, cost: u32) {
        let slot = self.next.max(now - pace.slack());
        self.next = slot + pace.charge(cost);
        self.last = Some(slot);
    }

    /// Continues `known`: the next slot lies `charge` after its latest one.
    pub(crate) fn follow(&mut self, known: &Self, charge: Span) {
        if let Some(last) = known.last {
            self.next = last + charge;
            self.last = known.last;
        }
    }

    /// Gives the latest slot back, once.
    pub(crate) fn undo(&mut self) {
        self.next = self.last.take().unwrap_or(self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        interval: Span::of(Duration::from_millis(10)),
        lateness: Span::of(Duration::from_millis(2)),
        burst: 1,
        heaviest: 1,
        memory: Span::of(Duration::from_millis(80)),
    };

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_departure_is_one_interval_away_and_at_most_100_ms() {
        assert_eq!(Schedule::starting(at(5), &PACE).next(), at(15));
        let slow = Pace {
            interval: Span::of(Duration::from_secs(20)),
            ..PACE
        };
        assert_eq!(Schedule::starting(at(5), &slow).next(), at(105));
    }

    #[test]
    fn a_late_departure_keeps_its_slot_and_a_very_late_one_loses_it() {
        let mut schedule = Schedule::starting(at(0), &PACE);
        schedule.depart(at(12), &PACE, 1);
        assert_eq!(schedule.next(), at(20));
        schedule.depart(at(23), &PACE, 1);
        assert_eq!(schedule.next(), at(31));
    }

    #[test]
    fn idle_time_is_not_saved_up_beyond_the_burst() {
        fn check(burst: u32, next: u64) {
            let pace = Pace { burst, ..PACE };
            let mut schedule = Schedule::starting(at(0), &pace);
            schedule.depart(at(60_000), &pace, 1);
            assert_eq!(schedule.next(), at(next), "{burst}");
        }
        check(1, 60_008);
        check(2, 59_998);
        check(5, 59_968);
    }

    #[test]
    fn a_cost_takes_so_many_slots_and_never_longer_than_the_server_remembers() {
        fn check(cost: u32, next: u64) {
            let mut schedule = Schedule::starting(at(0), &PACE);
            schedule.depart(at(10), &PACE, cost);
            assert_eq!(schedule.next(), at(next), "{cost}");
        }
        check(1, 20);
        check(7, 80);
        check(9, 90);
        check(u32::MAX, 90);
    }

    #[test]
    fn another_schedule_goes_on_from_the_latest_slot_if_there_is_one() {
        let mut known = Schedule::starting(at(0), &PACE);
        let mut schedule = Schedule::starting(at(15), &PACE);
        schedule.follow(&known, Span::of(Duration::from_secs(1)));
        assert_eq!(schedule.next(), at(25));
        known.depart(at(10), &PACE, 1);
        schedule.follow(&known, Span::of(Duration::from_secs(1)));
        assert_eq!(schedule.next(), at(1_010));
        schedule.undo();
        assert_eq!(schedule.next(), at(10));
    }

    #[test]
    fn the_latest_slot_is_given_back_once() {
        let mut schedule = Schedule::starting(at(0), &PACE);
        schedule.depart(at(10), &PACE, 1);
        schedule.depart(at(20), &PACE, 3);
        schedule.undo();
        assert_eq!(schedule.next(), at(20));
        schedule.undo();
        assert_eq!(schedule.next(), at(20));
    }
}
