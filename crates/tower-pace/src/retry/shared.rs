use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pacing::Moment;
use pacing::retry::{Attempts, Failure, RetryPolicy, RetryTokens};
use rand::rngs::SmallRng;

use super::drain::Drain;
use super::report::Observer;
use crate::clock::Clock;
use crate::hint_headers::HintHeaders;

/// How many requests at most are counted before the clock is read for them.
const MOST_UNDATED: u32 = 64;
/// How far apart requests are at most that are worth to be counted together: so many of them come within seven seconds.
const FAST: Duration = Duration::from_millis(100);

/// What a service does, and what it shares.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) policy: RetryPolicy,
    pub(super) drain: Drain,
    pub(super) counts_retries: bool,
    pub(super) hints: HintHeaders,
    pub(super) observer: Option<Observer>,
    pub(super) shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    rng: Mutex<SmallRng>,
    purse: Option<Mutex<Purse>>,
}

/// An account, and the requests that are not in it yet.
struct Purse {
    account: RetryTokens,
    /// Requests of which it is not known when they were: the clock is too slow to be read for each.
    ///
    /// If their pace breaks off and they stay so for ten seconds, they count as made before they were: a server in trouble
    /// gets rather too few retries than too many.
    undated: u32,
    /// How many to count together: twice as many as last time while they come fast, else each by itself.
    batch: u32,
    clock: Clock,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(policy: &RetryPolicy, rng: SmallRng) -> Arc<Self> {
        let purse = policy.tokens().map(|account| Purse {
            account,
            undated: 0,
            batch: 1,
            clock: Clock::default(),
        });
        Arc::new(Self {
            rng: Mutex::new(rng),
            purse: purse.map(Mutex::new),
        })
    }

    /// Counts a request for the budget.
    pub(super) fn deposit(&self) {
        if let Some(mut purse) = self.purse() {
            purse.deposit();
        }
    }

    fn withdraw(&self) -> bool {
        self.purse().is_none_or(|mut purse| purse.withdraw())
    }

    fn put_back(&self) {
        if let Some(mut purse) = self.purse() {
            purse.put_back();
        }
    }

    fn purse(&self) -> Option<MutexGuard<'_, Purse>> {
        self.purse.as_ref().map(lock)
    }
}

impl Purse {
    fn deposit(&mut self) {
        self.undated += 1;
        if self.undated >= self.batch {
            self.settle();
        }
    }

    fn settle(&mut self) -> Moment {
        let last = self.clock.last();
        let now = self.clock.read().moment;
        let (undated, last) = (mem::take(&mut self.undated), last.unwrap_or(now));
        self.batch = match now.since(last) < FAST * undated {
            true => (self.batch * 2).min(MOST_UNDATED),
            false => 1,
        };
        self.account.deposit_since(undated, last, now);
        now
    }

    fn withdraw(&mut self) -> bool {
        let now = self.settle();
        self.account.withdraw(now)
    }

    fn put_back(&mut self) {
        let now = self.settle();
        self.account.put_back(now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plan {
    /// Decides how long to wait for another attempt, if there is to be one.
    pub(super) fn wait(
        &self,
        attempts: &mut Attempts,
        failure: Failure,
        left: Option<Duration>,
    ) -> Option<Duration> {
        attempts.after(&self.policy, failure, left, &mut *lock(&self.shared.rng))
    }

    /// Pays for another attempt, if there is enough for it.
    pub(super) fn pay(&self, failure: Failure) -> Option<Payment> {
        if !failure.costs() {
            return Some(Payment(None));
        }
        let payment = || Payment(Some(Arc::clone(&self.shared)));
        self.shared.withdraw().then(payment)
    }
}

/// A retry that was paid for, if it costs anything. Dropped before it was made, it goes back into the budget.
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
