use std::time::Duration;

use rand::Rng;

use super::{RetryPolicy, wait_at_least};

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused for its limit, and may have said for how long.
    Throttled(Option<Duration>),
    /// The server failed for the moment, and may have said for how long; or there was no answer.
    Transient(Option<Duration>),
}

impl Failure {
    /// Says whether a retry is paid for out of the budget.
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

/// The attempts of one request, under a policy that is the same for all of them.
///
/// By default the request is sent for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    failed: u32,
    throttled: u32,
    waited: Duration,
}

impl Attempts {
    /// Returns which attempt the current one is, counting from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        1_u32
            .saturating_add(self.failed)
            .saturating_add(self.throttled)
    }

    /// Returns how long all waits before the current attempt were together.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Says whether a failure of the current attempt could be followed by another.
    #[must_use]
    pub const fn may_continue(&self, policy: &RetryPolicy) -> bool {
        self.may_fail(policy) || self.throttled < policy.throttled
    }

    /// Returns how long to wait before the next attempt, or `None` to give up. The next attempt is the current one then.
    ///
    /// It gives up now where the wait would not end before the deadline, in `left` from now: an answer in the hand is more
    /// than none.
    pub fn after(
        &mut self,
        policy: &RetryPolicy,
        failure: Failure,
        left: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
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
        let hint = failure.hint();
        if hint.is_some_and(|hint| hint > policy.max_retry_after) {
            return None;
        }
        match failure {
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
    fn a_refusal_that_says_at_once_is_backed_off_from_and_uses_an_attempt() {
        let waits = waits(RetryPolicy::default(), Failure::Throttled(seconds(0)));
        assert_eq!(waits.len(), 3);
        assert!(waits.iter().all(|wait| !wait.is_zero()));
    }

    #[test]
    fn more_than_five_minutes_are_not_waited_for() {
        assert!(waits(RetryPolicy::default(), Failure::Throttled(seconds(301))).is_empty());
        let patient = RetryPolicy::default().max_total_backoff(Duration::MAX);
        assert_eq!(waits(patient, Failure::Throttled(seconds(300))).len(), 20);
    }

    #[test]
    fn one_attempt_is_one_and_none_is_one_too() {
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
    fn all_waits_together_are_bounded() {
        let policy = RetryPolicy::default().max_total_backoff(Duration::from_secs(30));
        let waits = waits(policy, Failure::Throttled(seconds(5)));
        assert!(waits.len() == 5 || waits.len() == 6, "{}", waits.len());
        assert!(waits.iter().sum::<Duration>() <= Duration::from_secs(30));
    }

    #[test]
    fn a_wait_that_would_not_end_before_the_deadline_is_not_begun() {
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
    fn a_wait_of_exactly_the_bound_is_waited() {
        let fixed = Backoff::new(Duration::ZERO, Duration::ZERO);
        let policy = RetryPolicy::default()
            .backoff(fixed)
            .max_total_backoff(Duration::ZERO);
        assert_eq!(waits(policy, Failure::Transient(None)).len(), 3);
    }

    #[test]
    fn a_wait_of_exactly_what_is_left_is_not_begun() {
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
    fn only_failures_are_paid_for() {
        assert!(Failure::Transient(seconds(1)).costs());
        assert!(!Failure::Throttled(None).costs());
    }

    #[test]
    fn another_attempt_is_possible_while_either_kind_is_left() {
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
        let (failed, refused) = (Failure::Transient(None), Failure::Throttled(seconds(1)));
        check(2, 0, &[], true);
        check(1, 1, &[], true);
        check(1, 0, &[], false);
        check(2, 0, &[failed], false);
        check(1, 1, &[refused], false);
        check(2, 1, &[failed], true);
        check(2, 1, &[refused], true);
        check(2, 1, &[refused, failed], false);
    }
}
