use std::collections::VecDeque;
use std::mem;

use crate::Moment;
use crate::moment::Span;

/// Slots of a window, in the order in which they are freed.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    grain: u64,
    held: u64,
    entries: VecDeque<(Moment, u64)>,
}

impl Slots {
    /// Returns an empty list. Its slots are freed at the next multiple of `grain` nanoseconds, so a
    /// list that holds slots for a time t has at most t / `grain` + 2 entries.
    pub(crate) fn new(grain: u64) -> Self {
        Self {
            grain: grain.max(1),
            held: 0,
            entries: VecDeque::new(),
        }
    }

    /// Holds `slots` until `free`, or until the latest time in the list if that is later.
    #[inline]
    pub(crate) fn hold_until(&mut self, free: Moment, slots: u64) {
        let free = free.round_up(self.grain);
        self.held += slots;
        match self.entries.back_mut() {
            // The same entry, or a clock that went back: freeing late is safe, freeing early is
            // not.
            Some((last, held)) if *last >= free => *held += slots,
            _ => self.entries.push_back((free, slots)),
        }
    }

    /// Holds `slots` until `free`, which may lie before times in the list.
    pub(crate) fn insert(&mut self, free: Moment, slots: u64, now: Moment) {
        let free = free.round_up(self.grain);
        if free <= now {
            return;
        }
        self.held += slots;
        match self.entries.binary_search_by_key(&free, |&(free, _)| free) {
            Ok(index) => self.entries[index].1 += slots,
            Err(index) => self.entries.insert(index, (free, slots)),
        }
    }

    /// Frees up to `slots` of those that are held until `free`, and returns how many. Slots that
    /// are in another entry, because the clock went back, stay.
    #[inline]
    pub(crate) fn take(&mut self, free: Moment, slots: u64) -> u64 {
        let free = free.round_up(self.grain);
        let Some(held) = self.entry(free) else {
            return 0;
        };
        let taken = slots.min(*held);
        *held -= taken;
        self.held -= taken;
        taken
    }

    /// Returns the slots that are held until `free`. Most answers come in order, so it is the first
    /// entry more often than any other.
    #[inline]
    fn entry(&mut self, free: Moment) -> Option<&mut u64> {
        let index = match self.entries.front() {
            Some(&(first, _)) if first == free => 0,
            _ => self
                .entries
                .binary_search_by_key(&free, |&(free, _)| free)
                .ok()?,
        };
        let (_, held) = self.entries.get_mut(index)?;
        Some(held)
    }

    /// Frees the slots that are held past `after` and not until `until`, and returns how many.
    pub(crate) fn take_between(&mut self, after: Option<Moment>, until: Moment) -> u64 {
        let after = after.map(|after| after.round_up(self.grain));
        let entries = self.entries.iter_mut();
        let taken = entries
            .filter(|(free, _)| Some(*free) > after && *free < until)
            .map(|(_, held)| mem::take(held))
            .sum();
        self.held -= taken;
        taken
    }

    /// Returns the number of slots that are held past `after`.
    pub(crate) fn held_past(&self, after: Option<Moment>) -> u64 {
        let after = after.map(|after| after.round_up(self.grain));
        let late = self.entries.iter().rev();
        late.take_while(|&&(free, _)| Some(free) > after)
            .map(|&(_, held)| held)
            .sum()
    }

    /// Returns the number of slots that are held at `now`.
    #[inline]
    pub(crate) fn held_at(&mut self, now: Moment) -> u64 {
        // Empty entries go too, so that the first one with slots is found at once.
        while let Some(&(free, held)) = self.entries.front()
            && (free <= now || held == 0)
        {
            self.entries.pop_front();
            self.held -= held;
        }
        self.held
    }

    /// Holds the slots of `known` too, each as if it had been held for `to` in place of `from`.
    pub(crate) fn copy(&mut self, known: &Self, from: Span, to: Span) {
        for &(free, slots) in &known.entries {
            self.hold_until(free + to - from, slots);
        }
    }

    /// Returns when the first slots are freed.
    #[inline]
    pub(crate) fn first(&self) -> Option<Moment> {
        let taken = self.entries.iter().find(|&&(_, held)| held > 0);
        taken.map(|&(free, _)| free)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(crate) fn last(&self) -> Option<Moment> {
        self.entries.back().map(|&(free, _)| free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn slots_that_are_taken_are_neither_held_nor_first() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(15), 2);
        slots.hold_until(at(35), 1);
        assert_eq!(slots.take(at(13), 1), 1);
        assert_eq!((slots.held, slots.first()), (2, Some(at(20))));
        assert_eq!(slots.take(at(19), 5), 1);
        assert_eq!((slots.held, slots.first()), (1, Some(at(40))));
        assert_eq!(slots.held_at(at(39)), 1);
        assert_eq!((slots.held_at(at(40)), slots.first()), (0, None));
    }

    #[test]
    fn an_entry_that_was_taken_goes_once_it_is_the_first() {
        let mut slots = Slots::new(10);
        for free in [20, 30, 40] {
            slots.hold_until(at(free), 1);
        }
        slots.take(at(30), 1);
        assert_eq!((slots.held_at(at(5)), slots.len()), (2, 3));
        slots.take(at(20), 1);
        assert_eq!((slots.held_at(at(5)), slots.len()), (1, 1));
    }

    #[test]
    fn slots_of_another_time_are_not_taken() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(20), 2);
        assert_eq!(slots.take(at(30), 1), 0);
        assert_eq!(slots.take(at(10), 1), 0);
        assert_eq!(slots.held, 2);
    }

    #[test]
    fn slots_are_freed_in_order_even_if_the_clock_stood_still() {
        let mut slots = Slots::new(1);
        slots.hold_until(at(20), 1);
        slots.hold_until(at(10), 1);
        assert_eq!(slots.held_at(at(19)), 2);
        assert_eq!(slots.held_at(at(20)), 0);
    }

    #[test]
    fn slots_are_inserted_where_they_belong_unless_their_time_has_passed() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(40), 1);
        slots.insert(at(15), 2, at(5));
        slots.insert(at(38), 3, at(5));
        slots.insert(at(50), 4, at(5));
        slots.insert(at(5), 9, at(10));
        let seen = [19, 20, 40, 50].map(|now| slots.held_at(at(now)));
        assert_eq!(seen, [10, 8, 4, 0]);
    }

    #[test]
    fn slots_between_two_times_are_taken_and_those_past_one_are_counted() {
        let filled = || {
            let mut slots = Slots::new(10);
            for free in [20, 30, 40, 50] {
                slots.hold_until(at(free), free);
            }
            slots
        };
        let mut slots = filled();
        assert_eq!(slots.held_past(Some(at(25))), 90);
        assert_eq!(slots.held_past(None), 140);
        assert_eq!(slots.take_between(Some(at(15)), at(50)), 30 + 40);
        assert_eq!((slots.held, slots.held_past(Some(at(15)))), (70, 50));
        let mut slots = filled();
        assert_eq!(slots.take_between(None, at(31)), 20 + 30);
        assert_eq!(slots.held, 90);
    }
}
