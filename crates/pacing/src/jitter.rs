use std::time::Duration;

use crate::moment::Span;

/// Round trips that are summed up as one block.
const BLOCK: u32 = 500;
/// Blocks that are remembered: 5,000 round trips.
const BLOCKS: usize = 10;
/// What the assumption adds to the spread seen so far.
const MARGIN: Span = Span::of(Duration::from_millis(2));

/// How much the way to the server is assumed to vary: the spread of the last 5,000 round trips and
/// 2 ms, under a ceiling.
///
/// It is the ceiling until 5,000 round trips were seen, widens at once, shrinks only every 500
/// round trips, and starts again after a refusal: a refusal shows that the assumption was wrong.
///
/// A block of 500 round trips is kept as its least and its most, so the memory is 10 pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter {
    ceiling: Span,
    assumed: Span,
    blocks: [Spread; BLOCKS],
    filled: usize,
    /// Of all blocks.
    known: Spread,
    current: Spread,
    in_current: u32,
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
    /// Assumes `ceiling` until enough was learned.
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
            in_current: 0,
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

    /// Learns one round trip.
    #[inline]
    pub(crate) fn observe(&mut self, round_trip: Span) {
        let before = self.current;
        self.current = before.with(Spread {
            least: round_trip,
            most: round_trip,
        });
        self.in_current += 1;
        if self.in_current == BLOCK {
            self.close_block();
        } else if self.current != before {
            // Most round trips lie within the spread of their block, and then the assumption covers
            // them already.
            self.assumed = self.assumed.max(self.seen());
        }
    }

    /// Forgets everything: a request was refused.
    pub(crate) fn reset(&mut self) {
        *self = Self::under(self.ceiling);
    }

    #[cold]
    fn close_block(&mut self) {
        self.blocks.rotate_left(1);
        self.blocks[BLOCKS - 1] = self.current;
        self.filled = (self.filled + 1).min(BLOCKS);
        self.known = self.blocks.into_iter().fold(Spread::NONE, Spread::with);
        (self.current, self.in_current) = (Spread::NONE, 0);
        if self.filled == BLOCKS {
            self.assumed = self.seen();
        }
    }

    #[inline]
    fn seen(&self) -> Span {
        let seen = self.known.with(self.current);
        (seen.most - seen.least + MARGIN).min(self.ceiling)
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
    fn it_is_the_ceiling_until_5_000_round_trips_were_seen() {
        assert_eq!(learned(|_| 5, 4_999).assumed(), CEILING);
        assert_eq!(learned(|_| 5, 5_000).assumed(), millis(2));
    }

    #[test]
    fn it_is_the_spread_and_2_ms_and_never_above_the_ceiling() {
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
    fn it_widens_at_once_and_not_above_the_ceiling() {
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
    fn a_refusal_discards_what_was_learned() {
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
