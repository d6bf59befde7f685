/// The bounds of an [`AdaptiveLimit`](crate::AdaptiveLimit), and where it starts.
///
/// The upper bound is what protects a server that many clients share: from three on they queue more
/// than one would, since none of them sees what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    initial: usize,
    least: usize,
    most: usize,
}

impl Adaptive {
    const INITIAL: usize = 10;

    /// Returns a limit that stays between `least` and `most` requests and starts at 10, or at the
    /// nearer bound.
    ///
    /// # Panics
    ///
    /// Panics if `least` is zero, which could let nothing through, or more than `most`.
    ///
    /// ```
    /// use pacing::Adaptive;
    ///
    /// assert_eq!(Adaptive::between(1, 4).initial(), 4);
    /// ```
    #[must_use]
    pub const fn between(least: usize, most: usize) -> Self {
        assert!(least > 0, "a concurrency of 0 lets nothing through");
        assert!(least <= most, "the least concurrency is above the most");
        let bounds = Self {
            initial: least,
            least,
            most,
        };
        bounds.starting_at(Self::INITIAL)
    }

    /// Starts at `initial` requests, or at the nearer bound. From 10 to 200 it takes fewer than ten
    /// round trips if latencies are alike, and 100 to 200 if they vary as much as their mean.
    #[must_use]
    pub const fn starting_at(self, initial: usize) -> Self {
        Self {
            initial: self.clamp(initial),
            ..self
        }
    }

    /// Returns how many may be in flight before anything was learned.
    #[must_use]
    pub const fn initial(&self) -> usize {
        self.initial
    }

    pub(crate) const fn least(&self) -> usize {
        self.least
    }

    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// Returns the nearest number within the bounds.
    pub(crate) const fn clamp(&self, limit: usize) -> usize {
        if limit < self.least {
            self.least
        } else if limit > self.most {
            self.most
        } else {
            limit
        }
    }
}

impl Default for Adaptive {
    /// Between 1 and 200, as many as a server with room for one client is likely to take.
    fn default() -> Self {
        Self::between(1, 200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_lies_within_the_bounds() {
        fn check(settings: Adaptive, initial: usize) {
            assert_eq!(settings.initial(), initial, "{settings:?}");
        }
        check(Adaptive::default(), 10);
        check(Adaptive::between(1, 4), 4);
        check(Adaptive::between(20, 40), 20);
        check(Adaptive::between(20, 40).starting_at(30), 30);
        check(Adaptive::between(20, 40).starting_at(0), 20);
        check(Adaptive::between(20, 40).starting_at(50), 40);
    }

    #[test]
    #[should_panic(expected = "a concurrency of 0 lets nothing through")]
    fn the_least_is_not_zero() {
        let _ = Adaptive::between(0, 1);
    }

    #[test]
    #[should_panic(expected = "the least concurrency is above the most")]
    fn the_least_is_not_above_the_most() {
        let _ = Adaptive::between(2, 1);
    }
}
