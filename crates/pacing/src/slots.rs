use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem;

use crate::Moment;
use crate::moment::Span;

/// Slots of a window, in the order in which they are freed.
///
/// The latest entry is kept beside the list of the others. A request that is answered soon changes
/// only that entry, and the empty list costs it nothing.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    /// The times of entries are multiples of this number of nanoseconds.
    grain: u64,
    /// The sum of the slots of all entries.
    held: u64,
    /// The entry that is freed last. Without slots its time has no meaning.
    latest: (Moment, u64),
    /// The entries that are freed before it.
    earlier: VecDeque<(Moment, u64)>,
}

impl Slots {
    /// Returns an empty list. Its slots are freed at multiples of `grain` nanoseconds, rounded up.
    /// A list that holds slots for a time t has at most t / `grain` + 2 entries.
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
        // The same entry, or a clock that went back. A slot may be freed late, but never early. The
        // time of an entry is a multiple of the grain, so this comparison needs no rounding.
        if *latest >= free {
            *held += slots;
        } else {
            self.append(free.round_up(self.grain), slots);
        }
    }

    /// Adds an entry that is freed last.
    fn append(&mut self, free: Moment, slots: u64) {
        let latest = mem::replace(&mut self.latest, (free, slots));
        // An entry without slots is dropped: the list stays empty while all is answered soon.
        if latest.1 > 0 {
            self.earlier.push_back(latest);
        }
    }

    /// Holds `slots` until `free`, which may lie before times in the list. Does nothing if that
    /// time has passed at `now`.
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

    /// Releases up to `slots` of the slots that are held until `free`, and returns their number.
    ///
    /// Slots that are in a later entry, because the clock went back, stay held until its time.
    #[inline]
    pub(crate) fn release(&mut self, free: Moment, slots: u64) -> u64 {
        let Some(held) = self.entry(free) else {
            return 0;
        };
        let released = slots.min(*held);
        *held -= released;
        self.held -= released;
        released
    }

    /// Returns the slots of the entry that is freed at `free`, rounded up.
    #[inline]
    fn entry(&mut self, free: Moment) -> Option<&mut u64> {
        // The latest entry is known without rounding, which takes a division.
        let (latest, held) = &mut self.latest;
        if free <= *latest && latest.span_since(free).nanos() < self.grain {
            return Some(held);
        }
        let free = free.round_up(self.grain);
        // Most answers arrive in order, so the first entry is tried before the search.
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

    /// Releases the slots that are freed after `after` and before `until`, and returns their
    /// number.
    pub(crate) fn release_between(&mut self, after: Option<Moment>, until: Moment) -> u64 {
        let after = after.map(|after| after.round_up(self.grain));
        let entries = self.earlier.iter_mut().chain([&mut self.latest]);
        let released = entries
            .filter(|(free, _)| Some(*free) > after && *free < until)
            .map(|(_, held)| mem::take(held))
            .sum();
        self.held -= released;
        released
    }

    /// Returns the number of slots that are freed after `after`.
    pub(crate) fn held_past(&self, after: Option<Moment>) -> u64 {
        let after = after.map(|after| after.round_up(self.grain));
        let late = self.entries().rev();
        late.take_while(|&&(free, _)| Some(free) > after)
            .map(|&(_, held)| held)
            .sum()
    }

    /// Returns the number of slots that are held at `now`, and drops the entries that are over.
    #[inline]
    pub(crate) fn held_at(&mut self, now: Moment) -> u64 {
        // Entries without slots are dropped as well, so `first` finds one with slots at once.
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

    /// Returns an upper bound of the slots that are held. It includes slots whose time has passed
    /// since the last [`held_at`](Self::held_at).
    #[inline]
    pub(crate) fn held_at_most(&self) -> u64 {
        self.held
    }

    /// Adds the slots of `known`, each as if it had been held for `to` and not for `from`.
    pub(crate) fn copy(&mut self, known: &Self, from: Span, to: Span) {
        for &(free, slots) in known.entries().filter(|&&(_, held)| held > 0) {
            self.hold_until(free + to - from, slots);
        }
    }

    /// Returns when the first slots are freed.
    pub(crate) fn first(&self) -> Option<Moment> {
        let first = self.entries().find(|&&(_, held)| held > 0);
        first.map(|&(free, _)| free)
    }

    /// Returns all entries, in the order in which they are freed.
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
    fn released_slots_are_neither_held_nor_first() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(15), 2);
        slots.hold_until(at(35), 1);
        assert_eq!(slots.release(at(13), 1), 1);
        assert_eq!((slots.held, slots.first()), (2, Some(at(20))));
        assert_eq!(slots.release(at(19), 5), 1);
        assert_eq!((slots.held, slots.first()), (1, Some(at(40))));
        assert_eq!(slots.held_at(at(39)), 1);
        assert_eq!((slots.held_at(at(40)), slots.first()), (0, None));
    }

    #[test]
    fn an_entry_without_slots_is_dropped_once_it_is_the_first() {
        let mut slots = Slots::new(10);
        for free in [20, 30, 40] {
            slots.hold_until(at(free), 1);
        }
        slots.release(at(30), 1);
        assert_eq!((slots.held_at(at(5)), slots.len()), (2, 3));
        slots.release(at(20), 1);
        assert_eq!((slots.held_at(at(5)), slots.len()), (1, 1));
    }

    #[test]
    fn slots_of_another_time_stay_held() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(20), 2);
        assert_eq!(slots.release(at(30), 1), 0);
        assert_eq!(slots.release(at(10), 1), 0);
        assert_eq!(slots.held, 2);
    }

    #[test]
    fn slots_are_freed_in_order_even_if_the_clock_went_back() {
        let mut slots = Slots::new(1);
        slots.hold_until(at(20), 1);
        slots.hold_until(at(10), 1);
        assert_eq!(slots.held_at(at(19)), 2);
        assert_eq!(slots.held_at(at(20)), 0);
    }

    #[test]
    fn slots_are_inserted_by_their_time_unless_it_has_passed() {
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
    fn slots_between_two_times_are_released_and_those_after_one_are_counted() {
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
        assert_eq!(slots.release_between(Some(at(15)), at(50)), 30 + 40);
        assert_eq!((slots.held, slots.held_past(Some(at(15)))), (70, 50));
        let mut slots = filled();
        assert_eq!(slots.release_between(None, at(31)), 20 + 30);
        assert_eq!(slots.held, 90);
    }
}
