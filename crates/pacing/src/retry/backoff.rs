use std::time::Duration;

use rand::{Rng, RngExt};

use crate::moment::nanos;

/// Exponential backoff with jitter: the wait before a retry, by its number.
///
/// ```
/// use std::time::Duration;
/// use pacing::retry::Backoff;
/// use rand::{SeedableRng, rngs::SmallRng};
///
/// let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// let delay = backoff.delay(2, &mut SmallRng::seed_from_u64(7));
/// assert!(delay <= Duration::from_millis(800));
/// ```
///
/// By default the jitter is full: retry n waits U(0, min(cap, base * 2^n)), with n counted from 0.
/// In the simulation of Amazon's "Exponential backoff and jitter" this needs the fewest calls of
/// all variants. The jitter is drawn over the whole delay in nanoseconds, so delays of whole
/// seconds are spread like all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

/// The part of a delay that is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jitter {
    /// All of it.
    Full,
    /// Up to a quarter, added to the delay.
    QuarterAdded,
}

impl Backoff {
    /// Returns a backoff with full jitter. The first delay is at most `base`, and every delay at
    /// most `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            jitter: Jitter::Full,
        }
    }

    /// Returns the backoff of many API clients: 1 s, doubled up to 60 s, plus 0 to 25 %.
    ///
    /// These clients make four retries: set
    /// [`RetryPolicy::attempts`](super::RetryPolicy::attempts) to 5.
    #[must_use]
    pub const fn classic() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            jitter: Jitter::QuarterAdded,
        }
    }

    /// Returns the longest delay before retry `n`, which counts from 0.
    #[must_use]
    pub fn ceiling(&self, n: u32) -> Duration {
        let (floor, spread) = self.range(n);
        floor.saturating_add(spread)
    }

    /// Draws the delay before retry `n`, which counts from 0.
    #[must_use]
    pub fn delay(&self, n: u32, rng: &mut impl Rng) -> Duration {
        let (floor, spread) = self.range(n);
        floor.saturating_add(Duration::from_nanos(rng.random_range(0..=nanos(spread))))
    }

    /// Returns the shortest delay, and the most that the jitter adds.
    fn range(&self, n: u32) -> (Duration, Duration) {
        // Two factors, since the largest one makes only 2 s of a nanosecond. Both together make 146
        // years of it.
        let (first, second) = (1 << n.min(31), 1 << n.saturating_sub(31).min(31));
        let doubled = self.base.saturating_mul(first).saturating_mul(second);
        let step = doubled.min(self.cap);
        match self.jitter {
            Jitter::Full => (Duration::ZERO, step),
            Jitter::QuarterAdded => (step, step / 4),
        }
    }
}

impl Default for Backoff {
    /// Full jitter, from 200 ms to 10 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_ceiling_doubles_to_the_cap_and_never_overflows() {
        let backoff = Backoff::default();
        let ceilings = [0, 1, 5, 6, 31, 32, u32::MAX].map(|n| backoff.ceiling(n).as_millis());
        assert_eq!(ceilings, [200, 400, 6_400, 10_000, 10_000, 10_000, 10_000]);
        let tiny = Backoff::new(Duration::from_nanos(1), Duration::from_secs(1 << 20));
        let ceilings = [30, 31, 32, 40, 49, 50, u32::MAX].map(|n| tiny.ceiling(n).as_nanos());
        let most = (1 << 20) * 1_000_000_000;
        assert_eq!(
            ceilings,
            [1 << 30, 1 << 31, 1 << 32, 1 << 40, 1 << 49, most, most]
        );
        let endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!(endless.ceiling(u32::MAX), Duration::MAX);
    }

    #[test]
    fn the_classic_backoff_doubles_from_one_second_and_adds_at_most_a_quarter() {
        let mut rng = StdRng::seed_from_u64(1);
        for (n, seconds) in [(0, 1), (1, 2), (2, 4), (3, 8), (6, 60), (u32::MAX, 60)] {
            let floor = Duration::from_secs(seconds);
            let delays: Vec<_> = (0..1_000)
                .map(|_| Backoff::classic().delay(n, &mut rng))
                .collect();
            let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
            assert!(*least >= floor && *least < floor.mul_f64(1.01), "{least:?}");
            assert!(
                *most <= floor.mul_f64(1.25) && *most > floor.mul_f64(1.24),
                "{most:?}"
            );
        }
    }

    /// A common backoff draws its jitter only for the fraction of a second, so a base of one second
    /// has none.
    #[test]
    fn whole_second_bases_are_jittered_over_the_whole_delay() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut rng = StdRng::seed_from_u64(1);
        let mut draws: Vec<f64> = (0..10_000)
            .map(|_| backoff.delay(0, &mut rng).as_secs_f64())
            .collect();
        draws.sort_by(f64::total_cmp);
        // Kolmogorov-Smirnov against U(0, 1): 1.63 / sqrt(n) at the 1 % level, for a fixed seed.
        let distance = draws
            .iter()
            .enumerate()
            .map(|(rank, draw)| (draw - rank as f64 / 10_000.0).abs())
            .fold(0.0, f64::max);
        assert!(distance < 0.0163, "distance {distance}");
    }

    proptest! {
        #[test]
        fn delays_stay_below_the_ceiling(
            seed: u64,
            n: u32,
            base in 0_u64..1 << 40,
            cap in 0_u64..1 << 40,
        ) {
            let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(cap));
            let delay = backoff.delay(n, &mut StdRng::seed_from_u64(seed));
            prop_assert!(delay <= backoff.ceiling(n));
            prop_assert!(backoff.ceiling(n) <= Duration::from_nanos(cap));
        }
    }
}
