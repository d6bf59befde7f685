use std::time::Duration;

use crate::Moment;
use crate::quota::LATENESS;

/// The longest wait before the very first departure.
const LONGEST_START: Duration = Duration::from_millis(100);

/// Evenly spaced departure slots.
///
/// A request may leave up to 2 ms after its slot and keeps it, so that a late timer costs no throughput. What is later
/// than that is lost and never caught up in a lump.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    next: Moment,
    last: Option<Moment>,
}

impl Schedule {
    /// Starts at `now`; the first slot lies one interval later, but no more than 100 ms.
    ///
    /// It is never at once: a process that was just restarted has forgotten what it sent before.
    #[must_use]
    pub fn starting(now: Moment, interval: Duration) -> Self {
        Self {
            next: now + interval.min(LONGEST_START),
            last: None,
        }
    }

    /// Returns the moment from which the next request may leave.
    #[must_use]
    pub fn next(&self) -> Moment {
        self.next
    }

    /// Records a departure at `now` and returns its slot. The next slot lies one `interval` behind it.
    pub fn depart(&mut self, now: Moment, interval: Duration) -> Moment {
        let slot = self.next.max(now - LATENESS);
        self.next = slot + interval;
        self.last = Some(slot);
        slot
    }

    /// Gives `slot` back, if nothing has left since: after a later departure an earlier one could not be spaced.
    pub fn refund(&mut self, slot: Moment) {
        if self.last == Some(slot) {
            self.next = slot;
            self.last = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_departure_is_one_interval_away_and_at_most_100_ms() {
        assert_eq!(Schedule::starting(at(5), INTERVAL).next(), at(15));
        assert_eq!(
            Schedule::starting(at(5), Duration::from_secs(20)).next(),
            at(105)
        );
    }

    #[test]
    fn a_late_departure_keeps_its_slot_and_a_very_late_one_loses_it() {
        let mut schedule = Schedule::starting(at(0), INTERVAL);
        assert_eq!(schedule.depart(at(12), INTERVAL), at(10));
        assert_eq!(schedule.depart(at(23), INTERVAL), at(21));
        assert_eq!(schedule.next(), at(31));
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut schedule = Schedule::starting(at(0), INTERVAL);
        schedule.depart(at(60_000), INTERVAL);
        assert_eq!(schedule.next(), at(60_008));
    }

    #[test]
    fn a_refund_restores_the_last_slot_once() {
        let mut schedule = Schedule::starting(at(0), INTERVAL);
        let slot = schedule.depart(at(10), INTERVAL);
        schedule.refund(slot);
        assert_eq!(schedule.next(), at(10));
        let again = schedule.depart(at(10), INTERVAL);
        schedule.depart(at(20), INTERVAL);
        schedule.refund(again);
        assert_eq!(schedule.next(), at(30));
    }
}
