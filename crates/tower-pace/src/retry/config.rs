use std::sync::Arc;
use std::time::Duration;

use pacing::retry::{Attempts, Failure, RetryPolicy};

use super::drain::Drain;
use super::idempotency::IdempotencyKeys;
use super::report::Observer;
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
    pub(super) observer: Option<Observer>,
    pub(super) state: Arc<RetryState>,
}

impl Config {
    /// Returns how long to wait before another attempt, and counts that attempt. Returns `None`
    /// and changes nothing if the policy allows no other attempt within the time that is `left`.
    pub(super) fn next_backoff(
        &self,
        attempts: &mut Attempts,
        failure: Failure,
        left: Option<Duration>,
    ) -> Option<Duration> {
        attempts.after(&self.policy, failure, left, &mut *self.state.rng())
    }

    /// Acquires the token for a retry after `failure`, or returns `None` if the budget is used up.
    pub(super) fn try_acquire_token(&self, failure: Failure) -> Option<RetryToken> {
        match failure.costs() {
            true => RetryState::try_acquire_token(&self.state),
            false => Some(RetryToken::free()),
        }
    }
}
