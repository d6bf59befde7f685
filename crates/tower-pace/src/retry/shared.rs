use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pacing::retry::{Account, Attempts, Failure, RetryPolicy};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::clock::Clock;

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    policy: RetryPolicy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: SmallRng,
    account: Option<Account>,
    clock: Clock,
}

impl Shared {
    pub(super) fn new(policy: RetryPolicy, rng: SmallRng) -> Arc<Self> {
        let state = State {
            rng,
            account: policy.account(),
            clock: Clock::default(),
        };
        Arc::new(Self {
            policy,
            state: Mutex::new(state),
        })
    }

    /// The same policy with other jitter, and a budget of its own.
    pub(super) fn reseeded(&self, seed: u64) -> Arc<Self> {
        Self::new(self.policy, SmallRng::seed_from_u64(seed))
    }

    pub(super) const fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Counts a request for the budget.
    pub(super) fn deposit(&self) {
        let State { account, clock, .. } = &mut *self.lock();
        if let Some(account) = account {
            account.deposit(clock.read().moment);
        }
    }

    /// Decides how long to wait for another attempt, if there is to be one, and pays for it.
    pub(super) fn decide(
        self: &Arc<Self>,
        attempts: &mut Attempts,
        failure: Failure,
        left: Option<Duration>,
    ) -> Option<(Duration, Option<Payment>)> {
        let state = &mut *self.lock();
        let wait = attempts.after(failure, left, &mut state.rng)?;
        let Some(account) = state.account.as_mut().filter(|_| failure.costs()) else {
            return Some((wait, None));
        };
        let is_paid = account.withdraw(state.clock.read().moment);
        is_paid.then(|| (wait, Some(Payment(Some(Arc::clone(self))))))
    }

    fn put_back(&self) {
        if let Some(account) = &mut self.lock().account {
            account.put_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A retry that was paid for. Dropped before it was made, it goes back into the budget.
#[derive(Debug)]
pub(super) struct Payment(Option<Arc<Shared>>);

impl Payment {
    /// The retry is made now.
    pub(super) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.put_back();
        }
    }
}
