use std::time::Duration;

use rand::Rng;

use super::{RetryPolicy, wait_at_least};

/// Why an attempt failed, with its `Retry-After` if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server throttled the request.
    Throttled(Option<Duration>),
    /// The server failed for the moment, or there was no response.
    Transient(Option<Duration>),
}

impl Failure {
    /// Returns whether a retry costs tokens of the retry budget.
    #[must_use]
    pub const fn costs(self) -> bool {
        matches!(self, Self::Transient(_))
    }

    const fn hint(self) -> Option<Duration> {
        match self {
            Self::Throttled(hint) | Self::Transient(hint) => hint,
        }
    }
}

/// The attempts of one request, all under one [`RetryPolicy`].
///
/// The default is the first attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    failed: u32,
    throttled: u32,
    waited: Duration,
}

impl Attempts {
    /// Returns the number of the current attempt, counted from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        1_u32
            .saturating_add(self.failed)
            .saturating_add(self.throttled)
    }

    /// Returns the sum of all waits before the current attempt.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns whether the policy has another attempt if the current one fails.
    #[must_use]
    pub const fn may_continue(&self, policy: &RetryPolicy) -> bool {
        self.may_fail(policy) || self.throttled < policy.throttled
    }

    /// Returns how long to wait before the next attempt, which is the current one from then on.
    ///
    /// Returns `None` if the policy has no further attempt, or if the wait would not end before the
    /// deadline, which is `left` from now. The caller has a response to return now, and would have
    /// none after the deadline.
    pub fn after(
        &mut self,
        policy: &RetryPolicy,
        failure: Failure,
        left: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        // Change a copy, so that giving up leaves the current attempt as it was.
        let mut next = *self;
        let wait = next.wait(policy, failure, rng)?;
        next.waited = self.waited.saturating_add(wait);
        let is_late =
            left.is_some_and(|left| wait >= left) || next.waited > policy.max_total_backoff;
        (!is_late).then(|| {
            *self = next;
            wait
        })
    }

    fn wait(
        &mut self,
        policy: &RetryPolicy,
        failure: Failure,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        // Beyond the bound the caller gets the response, and may wait by itself.
        let hint = failure.hint();
        if hint.is_some_and(|hint| hint > policy.max_retry_after) {
            return None;
        }
        match failure {
            // A `Retry-After` of zero would retry at once, so it counts as none.
            Failure::Throttled(Some(hint)) if !hint.is_zero() => {
                self.after_throttled(policy, hint, rng)
            }
            Failure::Throttled(_) | Failure::Transient(_) => self.after_failed(policy, hint, rng),
        }
    }

    fn after_throttled(
        &mut self,
        policy: &RetryPolicy,
        hint: Duration,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        if self.throttled >= policy.throttled {
            return None;
        }
        self.throttled += 1;
        Some(wait_at_least(hint, rng))
    }

    fn after_failed(
        &mut self,
        policy: &RetryPolicy,
        hint: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        if !self.may_fail(policy) {
            return None;
        }
        let backoff = policy.backoff.delay(self.failed, rng);
        self.failed += 1;
        Some(hint.map_or(backoff, |hint| wait_at_least(hint, rng).max(backoff)))
    }

    const fn may_fail(&self, policy: &RetryPolicy) -> bool {
        self.failed.saturating_add(1) < policy.attempts
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::retry::Backoff;

    fn waits(policy: RetryPolicy, failure: Failure) -> Vec<Duration> {
        let mut attempts = Attempts::default();
        let mut rng = StdRng::seed_from_u64(5);
        std::iter::from_fn(|| attempts.after(&policy, failure, None, &mut rng))
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
    fn a_429_with_retry_after_is_obeyed_twenty_times_and_is_no_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Throttled(seconds(2)));
        assert_eq!(waits.len(), 20);
        assert!(
            waits
                .iter()
                .all(|wait| (2_000..=2_200).contains(&wait.as_millis()))
        );
    }

    #[test]
    fn a_failure_with_retry_after_waits_as_long_and_is_an_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Transient(seconds(30)));
        assert_eq!(waits.len(), 3);
        assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(30)));
    }

    #[test]
    fn a_429_with_a_retry_after_of_zero_is_backed_off_from_and_is_an_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Throttled(seconds(0)));
        assert_eq!(waits.len(), 3);
        assert!(waits.iter().all(|wait| !wait.is_zero()));
    }

    #[test]
    fn a_retry_after_of_more_than_five_minutes_ends_the_attempts() {
        assert!(waits(RetryPolicy::default(), Failure::Throttled(seconds(301))).is_empty());
        let patient = RetryPolicy::default().max_total_backoff(Duration::MAX);
        assert_eq!(waits(patient, Failure::Throttled(seconds(300))).len(), 20);
    }

    #[test]
    fn zero_attempts_count_as_one() {
        for attempts in [0, 1] {
            let policy = RetryPolicy::default().attempts(attempts).throttled(0);
            assert!(waits(policy, Failure::Transient(None)).is_empty());
            assert!(!Attempts::default().may_continue(&policy));
        }
    }

    #[test]
    fn attempts_are_numbered_from_one() {
        let (policy, mut attempts) = (RetryPolicy::default(), Attempts::default());
        let mut rng = StdRng::seed_from_u64(5);
        assert_eq!(attempts.number(), 1);
        let _ = attempts.after(&policy, Failure::Transient(None), None, &mut rng);
        let _ = attempts.after(&policy, Failure::Throttled(seconds(1)), None, &mut rng);
        assert_eq!(attempts.number(), 3);
    }

    #[test]
    fn the_sum_of_all_waits_is_bounded() {
        let policy = RetryPolicy::default().max_total_backoff(Duration::from_secs(30));
        let waits = waits(policy, Failure::Throttled(seconds(5)));
        assert!(waits.len() == 5 || waits.len() == 6, "{}", waits.len());
        assert!(waits.iter().sum::<Duration>() <= Duration::from_secs(30));
    }

    #[test]
    fn a_wait_that_would_not_end_before_the_deadline_does_not_start() {
        fn check(hint: u64, left: u64, waits: bool) {
            let (policy, mut attempts) = (RetryPolicy::default(), Attempts::default());
            let failure = Failure::Throttled(seconds(hint));
            let mut rng = StdRng::seed_from_u64(5);
            let wait = attempts.after(&policy, failure, seconds(left), &mut rng);
            assert_eq!(wait.is_some(), waits, "{hint} of {left}");
            assert_eq!(attempts.number(), 1 + u32::from(waits));
            assert_eq!(attempts.waited(), wait.unwrap_or_default());
        }
        check(2, 3, true);
        check(2, 2, false);
        check(3, 2, false);
        check(3, 0, false);
    }

    #[test]
    fn a_wait_of_exactly_the_bound_is_allowed() {
        let fixed = Backoff::new(Duration::ZERO, Duration::ZERO);
        let policy = RetryPolicy::default()
            .backoff(fixed)
            .max_total_backoff(Duration::ZERO);
        assert_eq!(waits(policy, Failure::Transient(None)).len(), 3);
    }

    #[test]
    fn a_wait_until_exactly_the_deadline_does_not_start() {
        let fixed = Backoff::new(Duration::ZERO, Duration::ZERO);
        let policy = RetryPolicy::default().backoff(fixed);
        let mut rng = StdRng::seed_from_u64(5);
        let failure = Failure::Transient(None);
        let left = Some(Duration::ZERO);
        assert_eq!(
            Attempts::default().after(&policy, failure, left, &mut rng),
            None
        );
        let left = Some(Duration::from_nanos(1));
        assert!(
            Attempts::default()
                .after(&policy, failure, left, &mut rng)
                .is_some()
        );
    }

    #[test]
    fn only_failures_cost_tokens() {
        assert!(Failure::Transient(seconds(1)).costs());
        assert!(!Failure::Throttled(None).costs());
    }

    #[test]
    fn another_attempt_is_possible_while_either_bound_is_not_reached() {
        fn check(attempts: u32, throttled: u32, failures: &[Failure], possible: bool) {
            let policy = RetryPolicy::default()
                .attempts(attempts)
                .throttled(throttled);
            let (mut made, mut rng) = (Attempts::default(), StdRng::seed_from_u64(5));
            for failure in failures {
                assert!(made.after(&policy, *failure, None, &mut rng).is_some());
            }
            assert_eq!(made.may_continue(&policy), possible, "{failures:?}");
        }
        let (failed, throttled_once) = (Failure::Transient(None), Failure::Throttled(seconds(1)));
        check(2, 0, &[], true);
        check(1, 1, &[], true);
        check(1, 0, &[], false);
        check(2, 0, &[failed], false);
        check(1, 1, &[throttled_once], false);
        check(2, 1, &[failed], true);
        check(2, 1, &[throttled_once], true);
        check(2, 1, &[throttled_once, failed], false);
    }
}
