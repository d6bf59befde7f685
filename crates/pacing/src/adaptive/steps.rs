//! How far a trial goes from the base.

/// The factor of a trial. The requests that it takes fall with the square of the step, and the harm that it
/// does grows with the step.
const STEP: f64 = 1.5;

/// The factor of a trial up until the first one fails. At 1.5 the start takes twice as many round trips.
const FIRST_STEP: f64 = 2.0;

/// Every second trial after one that failed: a step of 1.5 jumps over a sharp knee. Only from 16 on, since below that it
/// is three requests at most, and their effect is lost in the noise.
const FINE_STEP: f64 = 1.25;
const FINE_FROM: usize = 16;

/// The size of a trial up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    First,
    Usual,
    /// A small one, if the base is large.
    Fine,
}

impl Size {
    /// Returns the limit of a trial up, which is above `base`.
    pub(super) fn up_from(self, base: usize) -> usize {
        let factor = match self {
            Self::First => FIRST_STEP,
            Self::Fine if base >= FINE_FROM => FINE_STEP,
            Self::Fine | Self::Usual => STEP,
        };
        rounded(base as f64 * factor).max(base.saturating_add(1))
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
        fn check(base: usize, down: usize, fine: usize, usual: usize, first: usize) {
            let sizes = [Size::Fine, Size::Usual, Size::First];
            let up = sizes.map(|size| size.up_from(base));
            assert_eq!(
                (down_from(base), up),
                (down, [fine, usual, first]),
                "{base}"
            );
        }
        check(1, 0, 2, 2, 2);
        check(2, 1, 3, 3, 4);
        check(3, 2, 5, 5, 6);
        check(15, 10, 23, 23, 30);
        check(16, 11, 20, 24, 32);
        check(100, 67, 125, 150, 200);
        let most = usize::MAX;
        check(most, down_from(most), most, most, most);
        assert!(down_from(most) < most);
    }
}
