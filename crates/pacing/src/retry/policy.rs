use std::time::Duration;

use super::{Backoff, RetryBudget, RetryTokens, Verdict, is_idempotent};

/// Which responses to retry, how often, and after how long.
///
/// ```
/// use std::time::Duration;
/// # use pacing as tower_pace;
/// use tower_pace::retry::{Backoff, RetryPolicy, Verdict};
///
/// let policy = RetryPolicy::default()
///     .attempts(5)
///     .backoff(Backoff::classic())
///     .max_total_backoff(Duration::from_secs(30))
///     .classify(|status| if status == 500 { Verdict::Final } else { Verdict::of(status) });
/// assert_eq!(policy.verdict(500), Verdict::Final);
/// ```
///
/// By default:
///
/// - a request is sent at most four times, with full jitter from 200 ms to 10 s in between;
/// - the retries of failures are bounded by the default [`RetryBudget`];
/// - a 429 with a `Retry-After` of more than zero is no attempt. A request may get 20 of them;
/// - a `Retry-After` is waited for in full, and up to a tenth of it more, at most a second. That
///   part is random, so that all clients do not return at once;
/// - a `Retry-After` of more than five minutes ends the attempts;
/// - all waits of a request together take at most ten minutes.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    pub(super) attempts: u32,
    pub(super) throttled: u32,
    pub(super) backoff: Backoff,
    pub(super) max_retry_after: Duration,
    pub(super) max_total_backoff: Duration,
    budget: Option<RetryBudget>,
    classify: fn(u16) -> Verdict,
    replays: fn(&str) -> bool,
}

impl RetryPolicy {
    /// Sets how often a request is sent at most, the first time included. Zero counts as one.
    ///
    /// A 429 with `Retry-After` does not count: see [`throttled`](Self::throttled).
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Sets how often a request is sent again after a 429 with `Retry-After`. These do not count as
    /// attempts.
    #[must_use]
    pub const fn throttled(self, times: u32) -> Self {
        Self {
            throttled: times,
            ..self
        }
    }

    /// Sets the backoff.
    ///
    /// After a failure with `Retry-After` the longer of the two times counts. After a 429 with a
    /// `Retry-After` of more than zero only that time counts.
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Sets the longest `Retry-After` that is waited for. After a longer one the caller gets the
    /// response.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: time,
            ..self
        }
    }

    /// Sets the most time that all waits of a request take together. Before a wait that would
    /// exceed it, the caller gets the last response.
    #[must_use]
    pub const fn max_total_backoff(self, time: Duration) -> Self {
        Self {
            max_total_backoff: time,
            ..self
        }
    }

    /// Sets the retry budget, which bounds the retries of failures. A 429 is no failure.
    #[must_use]
    pub const fn budget(self, budget: RetryBudget) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// Removes the retry budget. A server in trouble may get as many times the usual requests as
    /// there are attempts.
    #[must_use]
    pub const fn without_budget(self) -> Self {
        Self {
            budget: None,
            ..self
        }
    }

    /// Sets the classification of status codes. The default is [`Verdict::of`].
    ///
    /// Return [`Verdict::Throttled`] only for a status that proves that the request was not
    /// processed: it is sent again whatever its method, even without a mark of a safe replay, and
    /// costs nothing of the budget.
    #[must_use]
    pub const fn classify(self, classify: fn(u16) -> Verdict) -> Self {
        Self { classify, ..self }
    }

    /// Sets the methods that are safe to send again: those for which `replays` returns true. The
    /// default is [`is_idempotent`].
    #[must_use]
    pub const fn replays(self, replays: fn(&str) -> bool) -> Self {
        Self { replays, ..self }
    }

    /// Returns the verdict for a status code.
    #[must_use]
    pub fn verdict(&self, status: u16) -> Verdict {
        (self.classify)(status)
    }

    /// Returns whether a request of this method may be sent again after an attempt of unknown
    /// effect.
    #[must_use]
    pub fn may_replay(&self, method: &str) -> bool {
        (self.replays)(method)
    }

    /// Returns the tokens of the retry budget, if there is one.
    #[must_use]
    pub fn tokens(&self) -> Option<RetryTokens> {
        self.budget.map(RetryTokens::new)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            // Each of these waits was asked for by the server, so there may be more of them.
            throttled: 20,
            backoff: Backoff::default(),
            // Most callers wait no longer for one request: beyond that they need the response.
            max_retry_after: Duration::from_secs(300),
            max_total_backoff: Duration::from_secs(600),
            budget: Some(RetryBudget::default()),
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
    fn custom_classification_and_methods_are_used() {
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
    fn the_tokens_are_those_of_the_budget() {
        fn retries(policy: RetryPolicy) -> Option<usize> {
            let mut tokens = policy.tokens()?;
            let paid = (0..1_000).take_while(|_| tokens.withdraw(Moment::ORIGIN));
            Some(paid.count())
        }
        let policy = RetryPolicy::default();
        assert_eq!(retries(policy), Some(30));
        assert_eq!(
            retries(policy.budget(RetryBudget::new(0, 1).floor(1))),
            Some(10)
        );
        assert_eq!(retries(policy.without_budget()), None);
    }

    #[test]
    fn the_longest_retry_after_can_be_set() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::default().max_retry_after(Duration::from_secs(5));
        let mut wait = |seconds| {
            let failure = Failure::Throttled(Some(Duration::from_secs(seconds)));
            Attempts::default().after(&policy, failure, None, &mut rng)
        };
        assert!(wait(5).is_some() && wait(6).is_none());
    }
}
