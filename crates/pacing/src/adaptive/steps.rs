//! How far a trial goes from the base.

/// The factor of a trial. The requests that it takes fall with the square of the step, and the harm
/// that it does grows with the step.
const STEP: f64 = 1.5;

/// The factor of a trial up until the first one fails. At 1.5 the start takes twice as many round
/// trips.
const FIRST_STEP: f64 = 2.0;

/// The factor of every second trial after one that failed: a step of 1.5 jumps over a sharp knee.
const FINE_STEP: f64 = 1.25;

/// From here on the effect of a fine step on latency can be told from noise. Below it is three
/// requests at most.
const FINE_FROM: usize = 16;

/// The size of a trial up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    First,
    Usual,
    /// A small one, if its effect on latency can be seen.
    Fine,
    /// A small one, whose effect is that requests fail: that needs no statistics.
    Hard,
}

impl Size {
    /// Returns the limit of a trial up, which is above `base`.
    pub(super) fn up_from(self, base: usize) -> usize {
        let factor = match self {
            Self::First => FIRST_STEP,
            Self::Fine if base >= FINE_FROM => FINE_STEP,
            Self::Hard => FINE_STEP,
            Self::Fine | Self::Usual => STEP,
        };
        rounded(base as f64 * factor).max(base.saturating_add(1))
    }

    /// Returns the size of the trial after one that was given up: small ones and usual ones take
    /// turns.
    pub(super) fn after_failure(self, small: Self) -> Self {
        match self {
            Self::First | Self::Usual => small,
            Self::Fine | Self::Hard => Self::Usual,
        }
    }

    /// Returns the size of the trial after one that was kept.
    pub(super) fn after_success(self) -> Self {
        match self {
            Self::First => Self::First,
            Self::Usual | Self::Fine | Self::Hard => Self::Usual,
        }
    }

    /// Returns the size of the next trial once the start is over.
    pub(super) fn after_start(self) -> Self {
        match self {
            Self::First => Self::Usual,
            Self::Usual | Self::Fine | Self::Hard => self,
        }
    }
}

/// Returns the limit of a trial down, which is below `base`.
pub(super) fn down_from(base: usize) -> usize {
    rounded(base as f64 / STEP).min(base.saturating_sub(1))
}

pub(super) fn rounded(limit: f64) -> usize {
    limit.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_goes_somewhere() {
        fn check(base: usize, down: usize, up: [usize; 4]) {
            let sizes = [Size::Hard, Size::Fine, Size::Usual, Size::First];
            let found = sizes.map(|size| size.up_from(base));
            assert_eq!((down_from(base), found), (down, up), "{base}");
        }
        check(1, 0, [2, 2, 2, 2]);
        check(2, 1, [3, 3, 3, 4]);
        check(3, 2, [4, 5, 5, 6]);
        check(4, 3, [5, 6, 6, 8]);
        check(15, 10, [19, 23, 23, 30]);
        check(16, 11, [20, 20, 24, 32]);
        check(100, 67, [125, 125, 150, 200]);
        let most = usize::MAX;
        check(most, down_from(most), [most; 4]);
        assert!(down_from(most) < most);
    }

    #[test]
    fn small_steps_and_usual_ones_take_turns() {
        fn check(size: Size, failure: Size, success: Size, start: Size) {
            let after = [
                size.after_failure(Size::Hard),
                size.after_success(),
                size.after_start(),
            ];
            assert_eq!(after, [failure, success, start], "{size:?}");
        }
        check(Size::First, Size::Hard, Size::First, Size::Usual);
        check(Size::Usual, Size::Hard, Size::Usual, Size::Usual);
        check(Size::Fine, Size::Usual, Size::Usual, Size::Fine);
        check(Size::Hard, Size::Usual, Size::Usual, Size::Hard);
    }
}
