use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem;

use crate::Moment;
use crate::moment::Span;

/// Slots of a window, in the order in which they are freed.
///
/// The latest entry is kept beside the list of the others. Requests that are answered soon concern
/// it alone, and an empty list costs them nothing.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    grain: u64,
    /// The slots of all entries.
    held: u64,
    /// The entry that is freed last. It may have no slots, and then its time means nothing.
    latest: (Moment, u64),
    /// The entries that are freed before it.
    earlier: VecDeque<(Moment, u64)>,
}

impl Slots {
    /// Returns an empty list. Its slots are freed at the next multiple of `grain` nanoseconds, so a
    /// list that holds slots for a time t has at most t / `grain` + 2 entries.
    pub(crate) fn new(grain: u64) -> Self {
        Self {
            grain: grain.max(1),
            held: 0,
            latest: (Moment::FIRST, 0),
            earlier: VecDeque::new(),
        }
    }

    /// Holds `slots` until `free`, or until the latest time in the list if that is later.
    #[inline]
    pub(crate) fn hold_until(&mut self, free: Moment, slots: u64) {
        self.held += slots;
        let (latest, held) = &mut self.latest;
        // The same entry, or a clock that went back: freeing late is safe, freeing early is not.
        // The time of an entry is a multiple of the grain, so `free` need not be rounded for this.
        if *latest >= free {
            *held += slots;
        } else {
            self.append(free.round_up(self.grain), slots);
        }
    }

    /// Makes the entry that is freed last.
    fn append(&mut self, free: Moment, slots: u64) {
        let latest = mem::replace(&mut self.latest, (free, slots));
        if latest.1 > 0 {
            self.earlier.push_back(latest);
        }
    }

    /// Holds `slots` until `free`, which may lie before times in the list.
    pub(crate) fn insert(&mut self, free: Moment, slots: u64, now: Moment) {
        let free = free.round_up(self.grain);
        if free <= now {
            return;
        }
        self.held += slots;
        match free.cmp(&self.latest.0) {
            Ordering::Greater => self.append(free, slots),
            Ordering::Equal => self.latest.1 += slots,
            Ordering::Less => {
                let earlier = &mut self.earlier;
                match earlier.binary_search_by_key(&free, |&(free, _)| free) {
                    Ok(index) => earlier[index].1 += slots,
                    Err(index) => earlier.insert(index, (free, slots)),
                }
            }
        }
    }

    /// Frees up to `slots` of those that are held until `free`, and returns how many. Slots that
    /// are in another entry, because the clock went back, stay.
    #[inline]
    pub(crate) fn take(&mut self, free: Moment, slots: u64) -> u64 {
        let Some(held) = self.entry(free) else {
            return 0;
        };
        let taken = slots.min(*held);
        *held -= taken;
        self.held -= taken;
        taken
    }

    /// Returns the slots that are held until `free`.
    #[inline]
    fn entry(&mut self, free: Moment) -> Option<&mut u64> {
        // The latest entry is known without rounding, which takes a division.
        let (latest, held) = &mut self.latest;
        if free <= *latest && latest.span_since(free).nanos() < self.grain {
            return Some(held);
        }
        let free = free.round_up(self.grain);
        // Most answers come in order, so of the others the first is the one more often than any.
        let index = match self.earlier.front() {
            Some(&(first, _)) if first == free => 0,
            _ => self
                .earlier
                .binary_search_by_key(&free, |&(free, _)| free)
                .ok()?,
        };
        let (_, held) = self.earlier.get_mut(index)?;
        Some(held)
    }

    /// Frees the slots that are held past `after` and not until `until`, and returns how many.
    pub(crate) fn take_between(&mut self, after: Option<Moment>, until: Moment) -> u64 {
        let after = after.map(|after| after.round_up(self.grain));
        let entries = self.earlier.iter_mut().chain([&mut self.latest]);
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
        let late = self.entries().rev();
        late.take_while(|&&(free, _)| Some(free) > after)
            .map(|&(_, held)| held)
            .sum()
    }

    /// Returns the number of slots that are held at `now`.
    #[inline]
    pub(crate) fn held_at(&mut self, now: Moment) -> u64 {
        // Empty entries go too, so that the first one with slots is found at once.
        while let Some(&(free, held)) = self.earlier.front()
            && (free <= now || held == 0)
        {
            self.earlier.pop_front();
            self.held -= held;
        }
        if self.latest.0 <= now {
            self.held -= mem::take(&mut self.latest.1);
        }
        self.held
    }

    /// Returns at least the number of slots that are held, by what was known when that was last
    /// asked or changed.
    #[inline]
    pub(crate) fn held_at_most(&self) -> u64 {
        self.held
    }

    /// Holds the slots of `known` too, each as if it had been held for `to` in place of `from`.
    pub(crate) fn copy(&mut self, known: &Self, from: Span, to: Span) {
        for &(free, slots) in known.entries().filter(|&&(_, held)| held > 0) {
            self.hold_until(free + to - from, slots);
        }
    }

    /// Returns when the first slots are freed.
    pub(crate) fn first(&self) -> Option<Moment> {
        let taken = self.entries().find(|&&(_, held)| held > 0);
        taken.map(|&(free, _)| free)
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = &(Moment, u64)> {
        self.earlier.iter().chain([&self.latest])
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries()
            .filter(|&&(free, _)| free > Moment::FIRST)
            .count()
    }

    #[cfg(test)]
    pub(crate) fn last(&self) -> Option<Moment> {
        let (latest, _) = self.latest;
        (latest > Moment::FIRST).then_some(latest)
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
