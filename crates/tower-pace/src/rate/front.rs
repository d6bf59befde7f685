use pacing::Departure;

use crate::classifier::Classifier;
use crate::wait::{Front, Hint};

/// The part of a limit that is read without its lock.
#[derive(Debug)]
pub(crate) struct RateFront {
    hint: Hint<Departure>,
    /// It is here, and not in each future, which would be larger by it. Its rules are code of the
    /// user, which must not run under the lock.
    pub(super) classifier: Classifier,
}

impl RateFront {
    pub(super) fn new(classifier: Classifier) -> Self {
        Self {
            hint: Hint::default(),
            classifier,
        }
    }
}

impl Front for RateFront {
    type Token = Departure;

    fn locked(&self) {}

    #[inline]
    fn unlocking(&self, has_waiters: bool) {
        self.hint.unlocking(has_waiters);
    }

    #[inline]
    fn may_admit(&self) -> bool {
        self.hint.may_admit()
    }
}
