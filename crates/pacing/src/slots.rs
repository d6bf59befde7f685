use std::collections::VecDeque;

use crate::Moment;
use crate::moment::Span;

/// Slots that come free in the order in which they were taken.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    grain: u64,
    pub(crate) held: u32,
    entries: VecDeque<(Moment, u32)>,
}

impl Slots {
    /// Returns none; those taken come free at the next multiple of `grain` nanoseconds.
    pub(crate) fn new(grain: u64) -> Self {
        Self {
            grain: grain.max(1),
            held: 0,
            entries: VecDeque::new(),
        }
    }

    /// Holds so many slots until `free`.
    pub(crate) fn hold_until(&mut self, free: Moment, slots: u32) {
        let free = free.round_up(self.grain);
        self.held = self.held.saturating_add(slots);
        match self.entries.back_mut() {
            // The same bucket, or a clock that stood still: late is safe, early is not.
            Some((last, count)) if *last >= free => *count = count.saturating_add(slots),
            _ => self.entries.push_back((free, slots)),
        }
    }

    /// Frees slots before their time. Those that stand in another bucket, because a clock stood still, stay.
    pub(crate) fn take(&mut self, free: Moment, slots: u32) {
        let free = free.round_up(self.grain);
        let Ok(index) = self.entries.binary_search_by_key(&free, |&(free, _)| free) else {
            return;
        };
        let (_, count) = &mut self.entries[index];
        let taken = slots.min(*count);
        *count -= taken;
        self.held = self.held.saturating_sub(taken);
    }

    /// Returns how many are held at `now`.
    pub(crate) fn held_at(&mut self, now: Moment) -> u64 {
        self.release(now);
        self.held.into()
    }

    /// Lets go of what is free at `now`.
    pub(crate) fn release(&mut self, now: Moment) {
        while let Some(&(free, count)) = self.entries.front()
            && free <= now
        {
            self.entries.pop_front();
            self.held = self.held.saturating_sub(count);
        }
    }

    /// Holds what `known` holds, each as if it had been held for `to` in place of `from`.
    pub(crate) fn copy(&mut self, known: &Self, from: Span, to: Span) {
        for &(free, slots) in &known.entries {
            self.hold_until(free + to - from, slots);
        }
    }

    /// Returns when the first comes free.
    pub(crate) fn first(&self) -> Option<Moment> {
        let taken = self.entries.iter().find(|&&(_, count)| count > 0);
        taken.map(|&(free, _)| free)
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Moment, u32)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn what_is_taken_before_its_time_is_neither_held_nor_first() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(15), 2);
        slots.hold_until(at(35), 1);
        slots.take(at(13), 1);
        assert_eq!((slots.held, slots.first()), (2, Some(at(20))));
        slots.take(at(19), 1);
        assert_eq!((slots.held, slots.first()), (1, Some(at(40))));
        slots.release(at(39));
        assert_eq!(slots.held, 1);
        slots.release(at(40));
        assert_eq!((slots.held, slots.first()), (0, None));
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let mut slots = Slots::new(10);
        slots.hold_until(at(20), 2);
        slots.take(at(30), 1);
        slots.take(at(10), 1);
        assert_eq!(slots.held, 2);
        slots.take(at(20), 5);
        assert_eq!(slots.held, 0);
    }

    #[test]
    fn slots_come_free_in_order_even_if_the_clock_stood_still() {
        let mut slots = Slots::new(1);
        slots.hold_until(at(20), 1);
        slots.hold_until(at(10), 1);
        slots.release(at(19));
        assert_eq!(slots.held, 2);
        slots.release(at(20));
        assert_eq!(slots.held, 0);
    }
}
