use std::collections::VecDeque;

use crate::departure::is_after;
use crate::moment::Span;

/// The most entries of each list. With fewer, a lower cost of a request that was long in flight
/// releases less time; with more, a limit takes more memory. A request of an answer of 20 s has up
/// to 20 entries behind it at one departure a second.
const MOST: usize = 64;

/// The time that a schedule can release if an earlier departure turns out to cost less.
///
/// Each planned time follows from the one before it: next = max(next, now - slack) + cost times
/// interval. With a lower cost of one departure, all planned times after it would have been sooner
/// by the same time, unless one of them lay at its bound, now - slack, anyway: it does not depend
/// on earlier departures. The *headroom* of a departure is its distance from that bound. So a lower
/// cost releases the time that it was charged too much, and at most the lowest headroom of all
/// departures after it.
///
/// Departures have increasing numbers, which wrap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credit {
    /// Departures with their headrooms, each lower than those of all later departures.
    headrooms: VecDeque<(u32, Span)>,
    /// The first departures with a new interval. Nothing is known of departures before the first
    /// entry, so they release nothing.
    intervals: VecDeque<(u32, Span)>,
}

impl Credit {
    /// Records the departure with this number, its interval and its headroom.
    pub(crate) fn depart(&mut self, number: u32, interval: Span, headroom: Span) {
        while self.headrooms.back().is_some_and(|back| back.1 >= headroom) {
            self.headrooms.pop_back();
        }
        self.headrooms.push_back((number, headroom));
        if self.headrooms.len() > MOST {
            // Departures between the first two entries release less than they could.
            let first = self.headrooms.pop_front();
            if let (Some((_, lowest)), Some(second)) = (first, self.headrooms.front_mut()) {
                second.1 = lowest;
            }
        }
        if self.intervals.back().is_none_or(|back| back.1 != interval) {
            self.intervals.push_back((number, interval));
            if self.intervals.len() > MOST {
                self.intervals.pop_front();
            }
        }
    }

    /// Returns the interval of the departure with this number, if it is known.
    pub(crate) fn interval_of(&self, number: u32) -> Option<Span> {
        let latest_first = self.intervals.iter().rev();
        let mut before = latest_first.filter(|&&(first, _)| !is_after(first, number));
        before.next().map(|&(_, interval)| interval)
    }

    /// Returns the time to release since the departure with this number costs `less` than it was
    /// charged.
    pub(crate) fn release(&mut self, number: u32, less: u32) -> Span {
        let Some(interval) = self.interval_of(number) else {
            return Span::ZERO;
        };
        let after = |&(departure, _): &(u32, Span)| !is_after(departure, number);
        let later = self.headrooms.partition_point(after);
        let most = self.headrooms.get(later).map(|&(_, headroom)| headroom);
        let charged = interval * less;
        let released = most.map_or(charged, |most| charged.min(most));
        for (_, headroom) in self.headrooms.range_mut(later..) {
            *headroom = *headroom - released;
        }
        // Earlier departures with a higher headroom are bound by this one now.
        if let Some(&(_, lowest)) = self.headrooms.get(later) {
            let lower = |&(_, headroom): &(u32, Span)| headroom < lowest;
            let kept = self
                .headrooms
                .range(..later)
                .take_while(|&entry| lower(entry));
            let kept = kept.count();
            self.headrooms.drain(kept..later);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(nanos: u64) -> Span {
        Span::from_nanos(nanos)
    }

    /// Departures with these headrooms and an interval of 10 ns. Their numbers wrap after the
    /// first.
    fn departed(headrooms: &[u64]) -> Credit {
        let mut credit = Credit::default();
        let mut number = u32::MAX;
        for &headroom in headrooms {
            credit.depart(number, span(10), span(headroom));
            number = number.wrapping_add(1);
        }
        credit
    }

    #[test]
    fn a_lower_cost_releases_its_time_up_to_the_lowest_headroom_after_it() {
        // Numbers MAX, 0, 1, 2, 3.
        let headrooms = [0, 70, 30, 90, 50];
        for (number, less, released) in [
            (u32::MAX, 2, 20),
            (u32::MAX, 9, 30),
            (0, 9, 30),
            (1, 9, 50),
            (2, 9, 50),
            (3, 9, 90),
            (3, 0, 0),
            (u32::MAX - 1, 9, 0),
        ] {
            let mut credit = departed(&headrooms);
            assert_eq!(credit.release(number, less), span(released), "{number}");
        }
    }

    #[test]
    fn released_time_lowers_the_headroom_of_all_later_departures() {
        let mut credit = departed(&[0, 70, 30, 90, 50]);
        assert_eq!(credit.release(1, 4), span(40));
        assert_eq!(credit.release(2, 4), span(10));
        assert_eq!(
            credit.release(0, 4),
            span(0),
            "the last headroom is used up"
        );
        assert_eq!(credit.release(3, 4), span(40));
        let mut credit = departed(&[0, 70, 30, 90, 50]);
        assert_eq!(credit.release(u32::MAX, 2), span(20));
        assert_eq!(credit.release(0, 9), span(10));
        assert_eq!(credit.release(1, 9), span(20));
    }

    #[test]
    fn the_interval_is_that_of_the_departure() {
        let mut credit = Credit::default();
        for (number, interval) in [(5, 10), (6, 10), (7, 99), (8, 1)] {
            credit.depart(number, span(interval), span(1_000));
        }
        for (number, released) in [(4, 0), (5, 20), (6, 20), (7, 198), (8, 2), (9, 2)] {
            assert_eq!(credit.release(number, 2), span(released), "{number}");
        }
    }

    #[test]
    fn the_lists_are_bounded_and_release_less_for_what_they_forgot() {
        let mut credit = Credit::default();
        for number in 0..1_000 {
            credit.depart(number, span(1_000), span(number.into()));
        }
        assert_eq!(credit.headrooms.len(), MOST);
        assert_eq!(credit.release(900, 1), span(0), "the lowest of all");
        assert_eq!(credit.release(990, 1), span(991));
        let mut credit = Credit::default();
        for number in 0..1_000 {
            credit.depart(number, span(number.into()), span(1_000));
        }
        assert_eq!(credit.intervals.len(), MOST);
        assert_eq!(credit.release(900, 1), span(0), "its interval is unknown");
        assert_eq!(credit.release(950, 1), span(950));
    }
}
