use std::time::Duration;

use rand::Rng;

use super::{Backoff, wait_at_least};

/// How often to try, and how long to wait in between.
///
/// By default a request is sent four times at most, with full jitter from 200 ms to 10 s in between. A 429 that says
/// when to come back does not use up one of these attempts, but that may happen 20 times at most. A server that asks
/// for more than five minutes is not asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    throttled: u32,
    backoff: Backoff,
    max_retry_after: Duration,
}

impl RetryPolicy {
    /// Sends a request `attempts` times at most, the first included. One means never again, and so does zero.
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

    /// Waits by `backoff` where the server does not say how long.
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
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            throttled: 20,
            backoff: Backoff::default(),
            max_retry_after: Duration::from_secs(300),
        }
    }
}

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused for its limit, and may have said for how long.
    Throttled(Option<Duration>),
    /// The server failed for the moment, and may have said for how long; or there was no answer.
    Transient(Option<Duration>),
}

/// The attempts of one request.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    failed: u32,
    throttled: u32,
}

impl Attempts {
    /// Returns the attempts of a request that is sent for the first time.
    #[must_use]
    pub const fn first(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failed: 0,
            throttled: 0,
        }
    }

    /// Returns which attempt the current one is, counting from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        1_u32
            .saturating_add(self.failed)
            .saturating_add(self.throttled)
    }

    /// Says whether a failure of the current attempt could be followed by another.
    #[must_use]
    pub const fn may_continue(&self) -> bool {
        self.may_fail() || self.throttled < self.policy.throttled
    }

    /// Returns how long to wait before the next attempt, or `None` to give up. The next attempt is the current one then.
    pub fn after(&mut self, failure: Failure, rng: &mut impl Rng) -> Option<Duration> {
        let (Failure::Throttled(hint) | Failure::Transient(hint)) = failure;
        if hint.is_some_and(|hint| hint > self.policy.max_retry_after) {
            return None;
        }
        match failure {
            Failure::Throttled(Some(hint)) => self.after_throttled(hint, rng),
            Failure::Throttled(None) | Failure::Transient(_) => self.after_failed(hint, rng),
        }
    }

    fn after_throttled(&mut self, hint: Duration, rng: &mut impl Rng) -> Option<Duration> {
        if self.throttled >= self.policy.throttled {
            return None;
        }
        self.throttled += 1;
        Some(wait_at_least(hint, rng))
    }

    fn after_failed(&mut self, hint: Option<Duration>, rng: &mut impl Rng) -> Option<Duration> {
        if !self.may_fail() {
            return None;
        }
        let backoff = self.policy.backoff.delay(self.failed, rng);
        self.failed += 1;
        Some(hint.map_or(backoff, |hint| wait_at_least(hint, rng).max(backoff)))
    }

    const fn may_fail(&self) -> bool {
        self.failed.saturating_add(1) < self.policy.attempts
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn waits(policy: RetryPolicy, failure: Failure) -> Vec<Duration> {
        let mut attempts = Attempts::first(policy);
        let mut rng = StdRng::seed_from_u64(5);
        std::iter::from_fn(|| attempts.after(failure, &mut rng))
            .take(100)
            .collect()
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn a_failing_request_is_sent_four_times() {
        assert_eq!(
            waits(RetryPolicy::default(), Failure::Transient(None)).len(),
            3
        );
        assert_eq!(
            waits(RetryPolicy::default(), Failure::Throttled(None)).len(),
            3
        );
    }

    #[test]
    fn a_refusal_that_says_when_is_obeyed_twenty_times_without_using_an_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Throttled(seconds(2)));
        assert_eq!(waits.len(), 20);
        assert!(
            waits
                .iter()
                .all(|wait| (2_000..=2_200).contains(&wait.as_millis()))
        );
    }

    #[test]
    fn a_failure_that_says_when_waits_as_long_and_uses_an_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Transient(seconds(30)));
        assert_eq!(waits.len(), 3);
        assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(30)));
    }

    #[test]
    fn more_than_five_minutes_are_not_waited_for() {
        assert!(waits(RetryPolicy::default(), Failure::Throttled(seconds(301))).is_empty());
        assert_eq!(
            waits(RetryPolicy::default(), Failure::Throttled(seconds(300))).len(),
            20
        );
    }

    #[test]
    fn one_attempt_is_one_and_none_is_one_too() {
        for attempts in [0, 1] {
            let policy = RetryPolicy::default().attempts(attempts).throttled(0);
            assert!(waits(policy, Failure::Transient(None)).is_empty());
            assert!(!Attempts::first(policy).may_continue());
        }
    }

    #[test]
    fn attempts_are_numbered_from_one() {
        let mut attempts = Attempts::first(RetryPolicy::default());
        let mut rng = StdRng::seed_from_u64(5);
        assert_eq!(attempts.number(), 1);
        let _ = attempts.after(Failure::Transient(None), &mut rng);
        let _ = attempts.after(Failure::Throttled(seconds(1)), &mut rng);
        assert_eq!(attempts.number(), 3);
    }
}
