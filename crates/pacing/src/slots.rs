use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

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

    /// Lets go of what is free at `now`.
    pub(crate) fn release(&mut self, now: Moment) {
        while let Some(&(free, count)) = self.entries.front()
            && free <= now
        {
            self.entries.pop_front();
            self.held = self.held.saturating_sub(count);
        }
    }

    /// Holds what `known` holds, and each for so much `longer`.
    pub(crate) fn copy(&mut self, known: &Self, longer: Duration) {
        for &(free, slots) in &known.entries {
            self.hold_until(free + longer, slots);
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
