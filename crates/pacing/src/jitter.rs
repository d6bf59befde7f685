use std::time::Duration;

use crate::moment::Span;

/// The round trips of one block. With larger blocks the assumption shrinks less often. With smaller
/// ones more blocks are needed for the same number of round trips.
const BLOCK: u32 = 500;
/// The blocks that are remembered, 5,000 round trips. With fewer a rare slow request is forgotten
/// before the next one, and throttled. With more a slow client never learns its path.
const BLOCKS: usize = 10;
/// The assumption adds this to the observed spread: the next round trip may lie a little outside.
/// With less, ordinary variation would be throttled. With more, a limit of 1,000 a second loses
/// throughput.
const MARGIN: Span = Span::of(Duration::from_millis(2));

/// The assumed spread of the transit times: the spread of the last 5,000 round trips and 2 ms,
/// bounded by a ceiling.
///
/// It is the ceiling for the first 5,000 round trips. It widens at once, and shrinks only after
/// each block of 500. A throttled response resets it, since the assumption may have been wrong.
///
/// A block is kept as its shortest and its longest round trip, so the memory is 10 pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter {
    ceiling: Span,
    assumed: Span,
    blocks: [Spread; BLOCKS],
    /// The number of blocks that are full.
    filled: usize,
    /// The spread of all full blocks.
    known: Spread,
    /// The spread of the block that is being filled.
    current: Spread,
    /// The number of round trips in it.
    observed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spread {
    least: Span,
    most: Span,
}

impl Spread {
    const NONE: Self = Self {
        least: Span::MAX,
        most: Span::ZERO,
    };

    #[inline]
    fn with(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }
}

impl Jitter {
    /// Returns an assumption that is `ceiling` until 5,000 round trips were observed.
    #[must_use]
    pub(crate) fn new(ceiling: Duration) -> Self {
        Self::under(Span::of(ceiling))
    }

    fn under(ceiling: Span) -> Self {
        Self {
            ceiling,
            assumed: ceiling,
            blocks: [Spread::NONE; BLOCKS],
            filled: 0,
            known: Spread::NONE,
            current: Spread::NONE,
            observed: 0,
        }
    }

    /// Returns the assumption in force, which is never above the ceiling.
    #[must_use]
    pub(crate) fn assumed(&self) -> Duration {
        self.assumed.duration()
    }

    #[inline]
    pub(crate) fn span(&self) -> Span {
        self.assumed
    }

    /// Records one round trip.
    #[inline]
    pub(crate) fn observe(&mut self, round_trip: Span) {
        let before = self.current;
        self.current = before.with(Spread {
            least: round_trip,
            most: round_trip,
        });
        self.observed += 1;
        if self.observed == BLOCK {
            self.close_block();
        } else if self.current != before {
            // Most round trips lie within the spread of their block, and then the assumption covers
            // them already.
            self.assumed = self.assumed.max(self.supported());
        }
    }

    /// Forgets all round trips, since a request was throttled.
    pub(crate) fn reset(&mut self) {
        *self = Self::under(self.ceiling);
    }

    // Cold: it runs once in 500 answers, and its loop would crowd out the usual answer.
    #[cold]
    fn close_block(&mut self) {
        self.blocks.rotate_left(1);
        self.blocks[BLOCKS - 1] = self.current;
        self.filled = (self.filled + 1).min(BLOCKS);
        self.known = self.blocks.into_iter().fold(Spread::NONE, Spread::with);
        (self.current, self.observed) = (Spread::NONE, 0);
        // The one place at which the assumption shrinks.
        if self.filled == BLOCKS {
            self.assumed = self.supported();
        }
    }

    /// Returns the assumption that the remembered round trips support.
    #[inline]
    fn supported(&self) -> Span {
        let spread = self.known.with(self.current);
        (spread.most - spread.least + MARGIN).min(self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Duration = Duration::from_millis(100);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn learned(round_trip: impl Fn(u64) -> u64, replies: u64) -> Jitter {
        let mut jitter = Jitter::new(CEILING);
        for reply in 0..replies {
            jitter.observe(Span::of(millis(round_trip(reply))));
        }
        jitter
    }

    #[test]
    fn the_ceiling_is_assumed_until_5_000_round_trips_were_observed() {
        assert_eq!(learned(|_| 5, 4_999).assumed(), CEILING);
        assert_eq!(learned(|_| 5, 5_000).assumed(), millis(2));
    }

    #[test]
    fn the_spread_and_2_ms_are_assumed_and_at_most_the_ceiling() {
        fn check(least: u64, most: u64, assumed: u64) {
            let jitter = learned(|reply| if reply == 4_000 { most } else { least }, 5_000);
            assert_eq!(jitter.assumed(), millis(assumed), "{least} to {most}");
        }
        check(5, 5, 2);
        check(5, 35, 32);
        check(300, 330, 32);
        check(0, 97, 99);
        check(0, 98, 100);
        check(0, 5_000, 100);
    }

    #[test]
    fn the_assumption_widens_at_once_up_to_the_ceiling() {
        let mut jitter = learned(|_| 5, 5_000);
        jitter.observe(Span::of(millis(30)));
        assert_eq!(jitter.assumed(), millis(27));
        jitter.observe(Span::of(millis(1)));
        assert_eq!(jitter.assumed(), millis(31));
        jitter.observe(Span::of(millis(10)));
        assert_eq!(jitter.assumed(), millis(31));
        jitter.observe(Span::MAX);
        assert_eq!(jitter.assumed(), CEILING);
    }

    #[test]
    fn a_stall_is_forgotten_after_5_000_more_round_trips() {
        let stall = |reply| if reply == 5_000 { 55 } else { 5 };
        assert_eq!(learned(stall, 5_001).assumed(), millis(52));
        assert_eq!(learned(stall, 10_499).assumed(), millis(52));
        assert_eq!(learned(stall, 10_500).assumed(), millis(2));
    }

    #[test]
    fn a_stall_to_the_ceiling_is_forgotten_too() {
        let stall = |reply| if reply == 5_000 { 500 } else { 5 };
        assert_eq!(learned(stall, 10_499).assumed(), CEILING);
        assert_eq!(learned(stall, 10_500).assumed(), millis(2));
    }

    #[test]
    fn a_reset_forgets_all_round_trips() {
        let mut jitter = learned(|_| 5, 5_000);
        jitter.reset();
        for _ in 1..5_000 {
            jitter.observe(Span::of(millis(5)));
            assert_eq!(jitter.assumed(), CEILING);
        }
        jitter.observe(Span::of(millis(5)));
        assert_eq!(jitter.assumed(), millis(2));
    }
}
