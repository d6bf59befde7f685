use crate::Moment;

/// The most that one latency counts for, in typical latencies.
///
/// The clip makes heavy tails measurable, and the value of a failure or of a hung request finite.
/// Without it, one answer in a hundred that takes fifty times as long decides every comparison, and
/// the limit moves at random. With 1/(1 - p) or less, a share p of instant answers hides the
/// latency of the others: 5 allows 80 %.
const CLIP: f64 = 5.0;

/// The value of a failure while no latency is known, in nanoseconds: 31 years. It exceeds every
/// real latency, and its square is still exact enough.
const UNKNOWN: f64 = 1e18;

/// The requests that measure one limit: those that depart while it is reached and unchanged.
///
/// The value of a request is its latency, or the [clip](CLIP) if that is less. A failure, and a
/// request that is late, count as the clip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cohort {
    /// The number that its samples carry. It is never zero: zero is no cohort.
    number: u64,
    stage: Stage,
    /// How many requests must depart.
    size: f64,
    /// The mean latency of served requests in the cohort before, in nanoseconds. It is not zero.
    typical: Option<f64>,
    departed: u64,
    served: u64,
    failed: u64,
    late: u64,
    /// The sum of the values of served requests, and the sum of their squares.
    sum: f64,
    squares: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Requests join. The cohort closes only after the limit was reached.
    Open { is_reached: bool },
    /// Enough requests have departed. Some of them are still in flight.
    Closed { at: Moment },
}

/// The result of a cohort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finding {
    /// The number of requests that it rests on.
    pub(super) requests: f64,
    /// The mean value of a request, at least one nanosecond.
    pub(super) mean: f64,
    /// The squared coefficient of variation of the values.
    pub(super) spread: f64,
    /// The mean value of a request that was served.
    pub(super) served: Option<f64>,
    /// Failed and late requests took more time than served ones.
    pub(super) is_mostly_lost: bool,
}

impl Cohort {
    /// Returns the cohort before the first one. No sample carries its number.
    pub(super) fn first() -> Self {
        Self::numbered(0, 0.0, None)
    }

    /// Returns the cohort after this one, without requests.
    pub(super) fn next(&self, size: f64, typical: Option<f64>) -> Self {
        Self::numbered(self.number + 1, size, typical)
    }

    fn numbered(number: u64, size: f64, typical: Option<f64>) -> Self {
        Self {
            number,
            stage: Stage::Open { is_reached: false },
            size,
            typical,
            departed: 0,
            served: 0,
            failed: 0,
            late: 0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    /// Opens the cohort again, since its requests were too few.
    pub(super) fn reopen(&mut self, size: f64) {
        self.stage = Stage::Open { is_reached: true };
        self.size = size;
        // A request that was counted as late may still end. Its sample has an old number then, so
        // it does not count twice.
        self.number += 1;
    }

    /// Records a departure if it measures the limit. Returns the number of the cohort, or zero.
    ///
    /// A request measures the limit if it departs at the limit, or if `any_load` does.
    pub(super) fn join(&mut self, now: Moment, at_limit: bool, any_load: bool) -> u64 {
        let Stage::Open { is_reached } = &mut self.stage else {
            return 0;
        };
        *is_reached |= at_limit;
        if !at_limit && !any_load {
            return 0;
        }
        self.departed += 1;
        if *is_reached && self.departed as f64 >= self.size {
            self.stage = Stage::Closed { at: now };
        }
        self.number
    }

    pub(super) fn has(&self, number: u64) -> bool {
        number == self.number
    }

    pub(super) fn serve(&mut self, latency: f64) {
        let value = match self.typical {
            Some(_) => latency.min(self.clip()),
            None => latency,
        };
        self.served += 1;
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) fn fail(&mut self) {
        self.failed += 1;
    }

    /// Removes a request that says nothing about the server.
    pub(super) fn leave(&mut self) {
        self.departed = self.departed.saturating_sub(1);
    }

    /// Returns whether more than half of the cohort failed, even if all others are served.
    pub(super) fn is_failing(&self) -> bool {
        let departed = self.departed as f64;
        let requests = match self.stage {
            // With fewer requests in flight, the limit is not the cause of failures.
            Stage::Open { is_reached: false } => return false,
            Stage::Open { is_reached: true } => departed.max(self.size),
            Stage::Closed { .. } => departed,
        };
        self.failed as f64 * 2.0 > requests
    }

    /// Returns whether the cohort is closed and all of its requests are counted.
    ///
    /// `now` is unknown if a request was canceled. A request that is in flight for the clip or
    /// longer counts as late. So no decision waits for a request that hangs, and slow requests are
    /// not left out.
    pub(super) fn is_complete(&mut self, now: Option<Moment>) -> bool {
        let Stage::Closed { at } = self.stage else {
            return false;
        };
        let in_flight = self.departed.saturating_sub(self.known());
        if in_flight == 0 {
            return true;
        }
        let is_late = now.is_some_and(|now| now.since(at).as_nanos() as f64 >= self.clip());
        if is_late {
            self.late += in_flight;
        }
        is_late
    }

    /// Returns the result of a complete cohort, unless all of its requests left.
    pub(super) fn finding(&self) -> Option<Finding> {
        if self.known() == 0 {
            return None;
        }
        let (requests, lost) = (self.known() as f64, (self.failed + self.late) as f64);
        let clip = self.clip().min(UNKNOWN);
        let mean = ((self.sum + lost * clip) / requests).max(1.0);
        let squares = (self.squares + lost * clip * clip) / requests;
        Some(Finding {
            requests,
            mean,
            spread: (squares / (mean * mean) - 1.0).max(0.0),
            served: (self.served > 0).then(|| self.served_mean()),
            is_mostly_lost: lost * clip > self.sum,
        })
    }

    fn known(&self) -> u64 {
        self.served + self.failed + self.late
    }

    /// Returns the most that one latency counts for.
    ///
    /// If no typical latency is known yet, the cohort's own mean replaces it, once half of the
    /// cohort was served and not all of it instantly.
    fn clip(&self) -> f64 {
        match self.typical {
            Some(typical) => CLIP * typical,
            None if self.sum > 0.0 && self.served * 2 >= self.departed => CLIP * self.served_mean(),
            None => f64::INFINITY,
        }
    }

    fn served_mean(&self) -> f64 {
        self.sum / self.served as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::from_nanos(1_000);

    /// Returns a closed cohort of this size, all of it in flight.
    fn closed(departed: u32, typical: Option<f64>) -> Cohort {
        let mut cohort = Cohort::first().next(departed.into(), typical);
        for _ in 0..departed {
            assert_eq!(cohort.join(NOW, true, false), 1);
        }
        cohort
    }

    fn after(nanos: u64) -> Option<Moment> {
        Some(NOW + Duration::from_nanos(nanos))
    }

    #[test]
    fn a_cohort_closes_when_enough_have_departed_and_the_limit_was_reached() {
        fn check(at_limit: &[bool], any_load: bool, joined: &[bool]) {
            let mut cohort = Cohort::first().next(3.0, None);
            for (&at_limit, &joins) in at_limit.iter().zip(joined) {
                let number = cohort.join(NOW, at_limit, any_load);
                assert_eq!(number != 0, joins, "{cohort:?}");
                assert_eq!(cohort.has(number), joins);
            }
        }
        let (no, yes) = (false, true);
        check(&[yes; 4], no, &[yes, yes, yes, no]);
        check(
            &[yes, no, no, yes, yes, yes],
            no,
            &[yes, no, no, yes, yes, no],
        );
        check(&[no; 5], yes, &[yes; 5]);
        check(
            &[no, no, no, no, yes, yes],
            yes,
            &[yes, yes, yes, yes, yes, no],
        );
        check(&[yes, no, no, no], yes, &[yes, yes, yes, no]);
    }

    #[test]
    fn a_cohort_is_complete_when_all_requests_are_counted() {
        let mut cohort = closed(3, Some(100.0));
        cohort.serve(1.0);
        cohort.fail();
        assert!(!cohort.is_complete(after(0)));
        cohort.leave();
        assert!(cohort.is_complete(None));
        let mut open = Cohort::first().next(2.0, None);
        open.join(NOW, true, true);
        open.serve(1.0);
        assert!(!open.is_complete(after(1_000)), "more are wanted");
    }

    #[test]
    fn a_request_in_flight_for_five_typical_latencies_is_late() {
        let mut cohort = closed(3, Some(100.0));
        cohort.serve(100.0);
        assert!(!cohort.is_complete(after(499)));
        assert!(!cohort.is_complete(None), "the time is not known");
        assert!(cohort.is_complete(after(500)));
        assert!(cohort.is_complete(after(500)), "and counts once");
        let finding = cohort.finding().unwrap();
        assert_eq!((finding.requests, finding.mean), (3.0, 1_100.0 / 3.0));
    }

    #[test]
    fn a_late_request_does_not_count_twice() {
        let mut cohort = closed(3, Some(100.0));
        let late = 1;
        assert!(cohort.has(late) && cohort.is_complete(after(500)));
        cohort.reopen(4.0);
        assert!(!cohort.has(late));
        let joined = cohort.join(NOW, true, false);
        assert!(cohort.has(joined));
        assert!(!cohort.is_complete(after(499)), "one more is in flight");
        cohort.serve(100.0);
        assert_eq!(cohort.finding().unwrap().requests, 4.0);
    }

    #[test]
    fn a_reopened_cohort_has_reached_its_limit() {
        let mut cohort = closed(1, None);
        cohort.serve(1.0);
        cohort.reopen(2.0);
        assert_eq!(cohort.join(NOW, false, true), 2);
        assert_eq!(cohort.join(NOW, true, true), 0);
    }

    #[test]
    fn one_request_counts_for_at_most_five_typical_ones() {
        fn check(typical: Option<f64>, latencies: &[f64], failed: u32, mean: f64, spread: f64) {
            let departed = latencies.len() + failed as usize;
            let mut cohort = closed(u32::try_from(departed).unwrap(), typical);
            latencies.iter().for_each(|&latency| cohort.serve(latency));
            (0..failed).for_each(|_| cohort.fail());
            let finding = cohort.finding().unwrap();
            assert!((finding.mean - mean).abs() < 1e-6 * mean, "{finding:?}");
            assert!((finding.spread - spread).abs() < 1e-6, "{finding:?}");
        }
        check(Some(100.0), &[100.0, 100.0], 0, 100.0, 0.0);
        check(Some(100.0), &[50.0, 150.0], 0, 100.0, 0.25);
        check(Some(100.0), &[100.0, 500.0], 0, 300.0, 4.0 / 9.0);
        check(Some(100.0), &[100.0, f64::MAX], 0, 300.0, 4.0 / 9.0);
        check(Some(100.0), &[100.0], 1, 300.0, 4.0 / 9.0);
        // Nothing is known before: a failure counts for five of the latencies that there are.
        check(None, &[100.0, 700.0], 0, 400.0, 9.0 / 16.0);
        check(None, &[100.0, 100.0], 2, 300.0, 4.0 / 9.0);
        check(None, &[], 2, UNKNOWN, 0.0);
        check(None, &[0.0, 0.0], 0, 1.0, 0.0);
        check(Some(1.0), &[0.0, 0.0], 0, 1.0, 0.0);
        let ages = u64::MAX as f64;
        check(None, &[ages, ages], 0, ages, 0.0);
    }

    #[test]
    fn no_request_is_late_while_no_latency_is_known() {
        let mut cohort = closed(4, None);
        assert!(!cohort.is_complete(after(u64::MAX)));
        cohort.serve(0.0);
        cohort.serve(0.0);
        assert!(
            !cohort.is_complete(after(u64::MAX)),
            "at once is no measure"
        );
        cohort.serve(90.0);
        assert!(!cohort.is_complete(after(149)));
        assert!(cohort.is_complete(after(150)));
        let mut cohort = closed(6, None);
        cohort.serve(90.0);
        cohort.serve(90.0);
        assert!(!cohort.is_complete(after(450)), "half of it must be served");
        cohort.serve(90.0);
        assert!(cohort.is_complete(after(450)));
    }

    #[test]
    fn a_finding_shows_whether_failures_prevail() {
        fn check(served: u32, failed: u32, late: bool, is_failing: bool, is_mostly_lost: bool) {
            let mut cohort = closed(served + failed + u32::from(late), Some(100.0));
            (0..served).for_each(|_| cohort.serve(100.0));
            (0..failed).for_each(|_| cohort.fail());
            assert!(cohort.is_complete(after(500)));
            let finding = cohort.finding().unwrap();
            let found = (cohort.is_failing(), finding.is_mostly_lost);
            assert_eq!(found, (is_failing, is_mostly_lost), "{served} {failed}");
        }
        check(5, 0, false, false, false);
        check(5, 1, false, false, false);
        check(4, 1, false, false, true);
        check(4, 0, true, false, true);
        check(5, 5, false, false, true);
        check(5, 6, false, true, true);
        check(5, 6, true, false, true);
    }

    #[test]
    fn an_open_cohort_fails_when_its_remaining_requests_cannot_change_that() {
        let mut open = Cohort::first().next(4.0, None);
        (0..3).for_each(|_| assert_eq!(open.join(NOW, true, false), 1));
        open.fail();
        open.fail();
        assert!(!open.is_failing(), "one more will depart");
        open.fail();
        assert!(open.is_failing());
    }

    #[test]
    fn failures_below_the_limit_do_not_fail_a_cohort() {
        let mut cohort = Cohort::first().next(20.0, None);
        (0..15).for_each(|_| assert_eq!(cohort.join(NOW, false, true), 1));
        (0..15).for_each(|_| cohort.fail());
        assert!(!cohort.is_failing());
        assert_eq!(cohort.join(NOW, true, true), 1);
        assert!(cohort.is_failing());
    }

    #[test]
    fn a_cohort_above_its_size_counts_as_a_whole() {
        let mut cohort = Cohort::first().next(2.0, None);
        (0..5).for_each(|_| assert_eq!(cohort.join(NOW, false, true), 1));
        assert_eq!(cohort.join(NOW, true, true), 1);
        (0..3).for_each(|_| cohort.fail());
        assert!(!cohort.is_failing());
        cohort.reopen(4.0);
        assert!(!cohort.is_failing());
        cohort.fail();
        assert!(cohort.is_failing());
    }

    #[test]
    fn a_closed_cohort_fails_by_its_real_size() {
        let mut cohort = closed(4, Some(100.0));
        cohort.leave();
        cohort.leave();
        cohort.fail();
        assert!(!cohort.is_failing());
        cohort.fail();
        assert!(cohort.is_failing());
    }

    #[test]
    fn a_cohort_that_all_requests_left_has_no_finding() {
        let mut cohort = closed(2, Some(100.0));
        cohort.leave();
        cohort.leave();
        assert!(cohort.is_complete(None));
        assert_eq!(cohort.finding(), None);
    }

    #[test]
    fn a_finding_has_the_mean_of_served_requests() {
        let mut cohort = closed(3, Some(100.0));
        cohort.fail();
        assert_eq!(cohort.finding().unwrap().served, None);
        cohort.serve(60.0);
        cohort.serve(80.0);
        assert_eq!(cohort.finding().unwrap().served, Some(70.0));
    }
}
