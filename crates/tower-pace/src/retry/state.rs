use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pacing::Moment;
use pacing::retry::{RetryPolicy, RetryTokens};
use rand::rngs::SmallRng;

use crate::clock::Clock;

/// The most requests that are recorded with one reading of the clock. With a smaller number the
/// clock is read more often. With a larger one, a batch would cover most of the ten seconds that
/// the budget remembers: at [`FAST`] requests this one covers 6.4 s.
const MAX_BATCH: u32 = 64;
/// Requests that are closer together than this on average are recorded in batches. A longer time
/// would make a batch cover more than the budget remembers.
const FAST: Duration = Duration::from_millis(100);

/// The state that all services of one retry layer share.
pub(super) struct RetryState {
    /// The generator of the random part of each backoff.
    rng: Mutex<SmallRng>,
    budget: Option<Mutex<BatchedBudget>>,
}

impl RetryState {
    pub(super) fn new(policy: &RetryPolicy, rng: SmallRng) -> Arc<Self> {
        let budget = policy.tokens().map(|budget| BatchedBudget {
            budget,
            unrecorded: 0,
            batch: 1,
            clock: Clock::default(),
        });
        Arc::new(Self {
            rng: Mutex::new(rng),
            budget: budget.map(Mutex::new),
        })
    }

    pub(super) fn rng(&self) -> MutexGuard<'_, SmallRng> {
        lock(&self.rng)
    }

    /// Records a request, which adds to the budget.
    #[inline]
    pub(super) fn record_request(&self) {
        if let Some(budget) = &self.budget {
            lock(budget).record_request();
        }
    }

    /// Acquires the token for one retry, or returns `None` if the budget is used up.
    pub(super) fn try_acquire_token(state: &Arc<Self>) -> Option<RetryToken> {
        let Some(budget) = &state.budget else {
            return Some(RetryToken::free());
        };
        let is_acquired = lock(budget).withdraw();
        is_acquired.then(|| RetryToken(Some(Arc::clone(state))))
    }
}

impl fmt::Debug for RetryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryState").finish_non_exhaustive()
    }
}

/// A retry budget, and the requests that are not recorded in it yet.
///
/// A reading of the clock takes longer than the rest of a request's way through the layer, so
/// requests that follow each other fast are recorded in batches.
struct BatchedBudget {
    budget: RetryTokens,
    /// The requests since the last batch. If no other request follows within ten seconds, they
    /// are recorded too early in time. The budget is then smaller than it might be, never larger.
    unrecorded: u32,
    /// How many requests the next batch has: twice as many as the last while requests follow each
    /// other fast, otherwise one.
    batch: u32,
    clock: Clock,
}

impl BatchedBudget {
    // Out of line, so that a call without a budget pays for none of it.
    #[inline(never)]
    fn record_request(&mut self) {
        self.unrecorded += 1;
        if self.unrecorded >= self.batch {
            self.record_batch();
        }
    }

    /// Records the batch and returns the current time.
    fn record_batch(&mut self) -> Moment {
        let last = self.clock.last();
        let now = self.clock.read().moment;
        let (requests, last) = (mem::take(&mut self.unrecorded), last.unwrap_or(now));
        self.batch = match now.since(last) < FAST * requests {
            true => (self.batch * 2).min(MAX_BATCH),
            false => 1,
        };
        self.budget.deposit_since(requests, last, now);
        now
    }

    /// Returns whether the budget allowed a retry, and reduces it if so.
    fn withdraw(&mut self) -> bool {
        let now = self.record_batch();
        self.budget.withdraw(now)
    }

    fn put_back(&mut self) {
        let now = self.record_batch();
        self.budget.put_back(now);
    }
}

/// The right to make one retry. A drop releases it into the budget, unless the retry was made.
#[derive(Debug)]
pub(super) struct RetryToken(
    /// The state with the budget; `None` if the retry costs nothing or was made.
    Option<Arc<RetryState>>,
);

impl RetryToken {
    /// Returns the token for a retry that costs nothing.
    pub(super) fn free() -> Self {
        Self(None)
    }

    /// Uses up the token, for a retry that is made now.
    pub(super) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for RetryToken {
    fn drop(&mut self) {
        let state = self.0.take();
        if let Some(budget) = state.as_ref().and_then(|state| state.budget.as_ref()) {
            lock(budget).put_back();
        }
    }
}

/// Acquires a lock. Nothing that could panic runs between two halves of a change, so a poisoned
/// lock hides no damage.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
