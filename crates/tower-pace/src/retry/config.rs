use std::sync::Arc;
use std::time::Duration;

use pacing::retry::{Attempts, Failure, RetryPolicy};

use super::drain::Drain;
use super::idempotency::IdempotencyKeys;
use super::report::{GaveUp, NotRetried, Observer, Retrying};
use super::state::{RetryState, RetryToken};
use crate::classifier::Classifier;

/// The settings of a retry layer, and the state that its services share.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) policy: RetryPolicy,
    pub(super) drain: Drain,
    pub(super) sends_retry_count: bool,
    pub(super) classifier: Classifier,
    pub(super) keys: Option<IdempotencyKeys>,
    pub(super) observer: Option<Observer<Retrying>>,
    pub(super) end_observer: Option<Observer<NotRetried>>,
    pub(super) state: Arc<RetryState>,
}

impl Config {
    /// Returns how long to wait before another attempt, and counts that attempt. Returns the
    /// reason and changes nothing if the policy allows no other attempt within the time that is
    /// `left`.
    pub(super) fn next_backoff(
        &self,
        attempts: &mut Attempts,
        failure: Failure,
        left: Option<Duration>,
    ) -> Result<Duration, GaveUp> {
        let backoff = attempts.after(&self.policy, failure, left, &mut *self.state.rng());
        backoff.ok_or_else(|| self.reason(*attempts, failure))
    }

    /// Returns which bound ends the attempts: the first one without which there would be another.
    #[cold]
    fn reason(&self, attempts: Attempts, failure: Failure) -> GaveUp {
        let rng = self.state.rng().clone();
        let continues = |policy: &RetryPolicy| {
            // Copies, so that nothing is counted and no backoff is drawn.
            let (mut attempts, mut rng) = (attempts, rng.clone());
            attempts.after(policy, failure, None, &mut rng).is_some()
        };
        let any_total = self.policy.max_total_backoff(Duration::MAX);
        if continues(&self.policy) {
            GaveUp::Deadline
        } else if continues(&any_total) {
            GaveUp::TotalBackoff
        } else if continues(&any_total.max_retry_after(Duration::MAX)) {
            GaveUp::RetryAfter
        } else {
            GaveUp::Attempts
        }
    }

    /// Acquires the token for a retry after `failure`, or returns `None` if the budget is used up.
    pub(super) fn try_acquire_token(&self, failure: Failure) -> Option<RetryToken> {
        match failure.costs() {
            true => RetryState::try_acquire_token(&self.state),
            false => Some(RetryToken::free()),
        }
    }
}
