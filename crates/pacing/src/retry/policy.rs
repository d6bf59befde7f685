use std::time::Duration;

use super::{Account, Backoff, Budget, Verdict, is_idempotent};

/// Which answers to try again, how often, and how long to wait in between.
///
/// By default a request is sent four times at most, with full jitter from 200 ms to 10 s in between, and out of the
/// default [`Budget`]. A 429 that says when to come back, in more than zero seconds, does not use up one of these
/// attempts, but that may happen 20 times at most. A server that asks for more than five minutes is not asked again, and
/// all waits of a request together are ten minutes at most.
///
/// ```
/// use std::time::Duration;
/// use pacing::retry::{Backoff, RetryPolicy, Verdict};
///
/// let policy = RetryPolicy::default()
///     .attempts(5)
///     .backoff(Backoff::classic())
///     .max_total_backoff(Duration::from_secs(30))
///     .classify(|status| if status == 500 { Verdict::Final } else { Verdict::of(status) });
/// assert_eq!(policy.verdict(500), Verdict::Final);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    pub(super) attempts: u32,
    pub(super) throttled: u32,
    pub(super) backoff: Backoff,
    pub(super) max_retry_after: Duration,
    pub(super) max_total_backoff: Duration,
    budget: Option<Budget>,
    classify: fn(u16) -> Verdict,
    replays: fn(&str) -> bool,
}

impl RetryPolicy {
    /// Sends a request `attempts` times at most, the first included; zero counts as one. A 429 that says when to come back
    /// is not counted: see [`throttled`](Self::throttled).
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Obeys a 429 with `Retry-After` `times` at most, which is not counted as an attempt.
    #[must_use]
    pub const fn throttled(self, times: u32) -> Self {
        Self {
            throttled: times,
            ..self
        }
    }

    /// Waits by `backoff` where the server does not say how long, and after a failure no less than that where it does. After a
    /// 429 that says how long, in more than zero seconds, only that counts.
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Gives up where the server asks for more than `time`: the answer is returned.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: time,
            ..self
        }
    }

    /// Gives up where all backoffs of a request together, those that the server asked for included,
    /// would be more than `time`: the last answer is returned.
    #[must_use]
    pub const fn max_total_backoff(self, time: Duration) -> Self {
        Self {
            max_total_backoff: time,
            ..self
        }
    }

    /// Pays for the retries of failures, which a 429 is not, out of `budget`.
    #[must_use]
    pub const fn budget(self, budget: Budget) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// Retries however many requests fail: a server in trouble may get as many requests more as there are attempts.
    #[must_use]
    pub const fn without_budget(self) -> Self {
        Self {
            budget: None,
            ..self
        }
    }

    /// Classifies status codes by `classify` in the place of [`Verdict::of`].
    ///
    /// [`Verdict::Throttled`] says that the request was not processed: it is sent again whatever its method, without the mark
    /// of a safe replay and at no cost to the budget. Return it only for a status that proves as much.
    #[must_use]
    pub const fn classify(self, classify: fn(u16) -> Verdict) -> Self {
        Self { classify, ..self }
    }

    /// Takes the methods for which `replays` is true as safe to send again, in the place of [`is_idempotent`].
    #[must_use]
    pub const fn replays(self, replays: fn(&str) -> bool) -> Self {
        Self { replays, ..self }
    }

    /// Returns what a status code means.
    #[must_use]
    pub fn verdict(&self, status: u16) -> Verdict {
        (self.classify)(status)
    }

    /// Says whether a request of this method may be sent again after an attempt of unknown effect.
    #[must_use]
    pub fn may_replay(&self, method: &str) -> bool {
        (self.replays)(method)
    }

    /// Returns an account of the budget, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.budget.map(Account::new)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            throttled: 20,
            backoff: Backoff::default(),
            max_retry_after: Duration::from_secs(300),
            max_total_backoff: Duration::from_secs(600),
            budget: Some(Budget::default()),
            classify: Verdict::of,
            replays: is_idempotent,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::Moment;
    use crate::retry::{Attempts, Failure};

    #[test]
    fn what_is_set_is_what_is_asked() {
        let policy = RetryPolicy::default()
            .classify(|_| Verdict::Throttled)
            .replays(|method| method == "POST");
        assert_eq!(policy.verdict(200), Verdict::Throttled);
        assert!(policy.may_replay("POST") && !policy.may_replay("GET"));
        let default = RetryPolicy::default();
        assert_eq!(default.verdict(200), Verdict::Final);
        assert!(default.may_replay("GET") && !default.may_replay("POST"));
    }

    #[test]
    fn the_account_is_that_of_the_budget() {
        fn retries(policy: RetryPolicy) -> Option<usize> {
            let mut account = policy.account()?;
            let paid = (0..1_000).take_while(|_| account.withdraw(Moment::ORIGIN));
            Some(paid.count())
        }
        let policy = RetryPolicy::default();
        assert_eq!(retries(policy), Some(30));
        assert_eq!(retries(policy.budget(Budget::new(0, 1).floor(1))), Some(10));
        assert_eq!(retries(policy.without_budget()), None);
    }

    #[test]
    fn what_a_server_may_ask_for_can_be_set() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::default().max_retry_after(Duration::from_secs(5));
        let mut wait = |seconds| {
            let failure = Failure::Throttled(Some(Duration::from_secs(seconds)));
            Attempts::default().after(&policy, failure, None, &mut rng)
        };
        assert!(wait(5).is_some() && wait(6).is_none());
    }
}
