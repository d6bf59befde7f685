use super::Adaptive;
use super::cohort::Cohort;
use super::trials::Trials;
use crate::Moment;

/// How many requests may be in flight, learned by trying other limits.
///
/// Latency alone does not tell a queue of our own from a longer path or from chance. Changing the
/// limit does: if our requests queue, latency follows the limit; if they do not, it stays. So the
/// limit rests at a base, and moves for trials: up by half, or down by a third. A trial is judged
/// by a cohort, that is by as many requests as the spread of their latencies demands. The base
/// moves to where latency begins to rise.
///
/// ```
/// use std::time::Duration;
/// use pacing::{Adaptive, AdaptiveLimit, Answer, Moment};
///
/// let mut limit = AdaptiveLimit::new(Adaptive::between(1, 100));
/// let samples: Vec<_> = (1..=10).map(|n| limit.depart(Moment::ORIGIN, n)).collect();
/// for sample in samples {
///     limit.answer(sample, Moment::ORIGIN + Duration::from_millis(5), Answer::Served);
/// }
/// assert_eq!(limit.limit(), 20, "a trial: the limit was reached, so more might be served");
/// ```
///
/// Report of every [`depart`](Self::depart) how it ended: exactly one of [`answer`](Self::answer)
/// and [`cancel`](Self::cancel).
///
/// # What to expect
///
/// - The limit settles where latency begins to rise, which is less than the most throughput where
///   latency grows with every request: there it has nearly the best ratio of the two. Where each
///   request adds 1 ms to 100 ms, it settles near 50: that is half of the throughput of 200 in
///   flight, at half of the latency.
/// - It learns only while the limit is reached. One cohort in six departs at 1.25 to 1.5 times the
///   base or at two thirds of it, and one in eighteen before a server that fails what is too much.
/// - The more latencies vary, the longer it takes: a decision rests on about 150 answers if their
///   standard deviation is their mean, and on 8 or one round trip if they are alike.
/// - Failures that do not depend on the limit leave it alone until they are the majority.
/// - Two clients share a server fairly, at 1.2 times the latency, and up to 2.6 times where latency
///   has no chance in it. More of them queue many times as much, five of them 3 to 9 times, since
///   each sees a fifth of what it does: give each its share as the upper bound.
/// - It is no rate limit. Before a server that answers 429 it stays or grows.
///
/// # The rule
///
/// By Little's law the server takes `limit * latency before / latency in the trial` requests
/// without a queue. After a trial up, if that is near its limit, the limit is kept, and the next
/// trial follows at once. If it is well above the base, it is the new base. Otherwise the limit
/// returns to the base, and rests longer before the next trial. After three of these, a trial down
/// looks for a queue at the base the same way.
///
/// The lowest mean latency is remembered as the floor. At more than 1.4 times the floor nothing
/// grows, and a trial down tells whether the queue is ours. If not, the path is longer, and the
/// floor follows it. So several clients do not fill one queue in turns.
///
/// A failure counts as five usual latencies, and so does a request that takes longer than that. As
/// soon as more than half of a cohort has failed, a trial up ends, or the base falls by three
/// tenths.
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    trials: Trials,
    cohort: Cohort,
    /// The mean latency that was served in the last cohort, in nanoseconds.
    typical: Option<f64>,
    /// The squared coefficient of variation of latencies: the last cohort's, or half of what it was
    /// before.
    spread: f64,
}

/// A request that has departed. The default says nothing when it ends, for a limit that does not
/// learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "tell the limit how the request ended"]
pub struct Sample {
    departed: Moment,
    /// The number of its cohort; zero, if it says nothing.
    cohort: u64,
}

/// What an answer says of the server's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was served: its latency counts.
    Served,
    /// It failed since the server has too much to do.
    Overloaded,
    /// It says nothing of the load.
    Silent,
}

/// A cohort is so large that one standard error of its mean is a fifth of the step, in logarithms:
/// at a standard deviation as large as the mean, 152 requests for a step of 1.5. At 3 chance
/// decides too many trials; at 7 decisions take twice as long and are hardly better.
const PRECISION: f64 = 5.0;

/// Of fewer requests the spread is not seen.
const MIN_COHORT: f64 = 8.0;

/// Bounds the time that one decision takes, at the price of some precision where latencies vary
/// more than exponentially.
const MAX_COHORT: f64 = 250.0;

/// A cohort that lacks a fifth is judged all the same. Its size was estimated from the spread of
/// the one before, and to be exact would cost another round trip.
const ENOUGH: f64 = 0.8;

/// A step of zero, where the bounds leave no choice, would ask for more than there are. Any size
/// will do then.
const LEAST_STEP: f64 = 0.01;

impl AdaptiveLimit {
    /// Returns a limit that has learned nothing yet.
    #[must_use]
    pub fn new(bounds: Adaptive) -> Self {
        let mut limit = Self {
            trials: Trials::new(bounds),
            cohort: Cohort::first(),
            typical: None,
            spread: 0.0,
        };
        limit.gather();
        limit
    }

    /// Returns how many requests may be in flight, in a trial as between trials.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.trials.limit()
    }

    /// Goes on from `limit`, or from the nearer bound. A trial that runs ends without a result.
    pub fn set(&mut self, limit: usize) {
        self.trials.set(limit);
        self.gather();
    }

    /// Records that a request departs at `now`, after which `in_flight` are. Does not change the
    /// limit.
    ///
    /// The limit is reached where `in_flight` is as much. A caller whose answers come together may
    /// pass the limit for those that it sends in their place: of a round trip, only the last one
    /// would reach it otherwise.
    pub fn depart(&mut self, now: Moment, in_flight: usize) -> Sample {
        let at_limit = in_flight >= self.limit();
        // The start takes what comes, so that it is short.
        let any_load = self.trials.is_starting();
        Sample {
            departed: now,
            cohort: self.cohort.join(now, at_limit, any_load),
        }
    }

    /// Records an answer that came at `now`. Without effect on what departed before the limit
    /// changed.
    pub fn answer(&mut self, sample: Sample, now: Moment, answer: Answer) {
        if self.cohort.has(sample.cohort) {
            match answer {
                Answer::Served => {
                    let latency = now.since(sample.departed);
                    self.cohort.serve(latency.as_nanos() as f64);
                }
                Answer::Overloaded => self.cohort.fail(),
                Answer::Silent => self.cohort.leave(),
            }
        }
        self.conclude(Some(now));
    }

    /// Records that nobody waits for the answer any more: that says nothing of the server.
    pub fn cancel(&mut self, sample: Sample) {
        if self.cohort.has(sample.cohort) {
            self.cohort.leave();
            self.conclude(None);
        }
    }

    /// Decides by the cohort, if it is complete.
    fn conclude(&mut self, now: Option<Moment>) {
        // A server that refuses does so fast. To wait for what it does serve would fail hundreds of
        // requests more.
        if self.cohort.is_failing() {
            self.trials.fail();
            return self.gather();
        }
        if !self.cohort.is_complete(now) {
            return;
        }
        let Some(finding) = self.cohort.finding() else {
            return self.gather();
        };
        self.spread = self.spread.max(finding.spread);
        if finding.requests < ENOUGH * self.cohort_size() {
            return self.cohort.reopen(self.cohort_size());
        }
        self.spread = finding.spread.max(self.spread / 2.0);
        if let Some(served) = finding.served {
            // It falls by half at most: what one cohort did not see may still be there.
            let typical = served.max(self.typical.unwrap_or(0.0) / 2.0);
            // Instant answers are no measure for others.
            self.typical = (typical > 0.0).then_some(typical);
        }
        self.trials.decide(&finding);
        self.gather();
    }

    /// Begins another cohort. The requests in flight say nothing of the limit any more.
    fn gather(&mut self) {
        self.cohort = self.cohort.next(self.cohort_size(), self.typical);
    }

    /// Returns how many requests a cohort takes, to tell the limit from the one that it is compared
    /// with.
    fn cohort_size(&self) -> f64 {
        let size = self.spread * (PRECISION / self.trials.step().max(LEAST_STEP)).powi(2);
        // Answers come in waves, so a part of a round trip misleads. The start can do with half of
        // one.
        let waves = if self.trials.is_starting() { 2.0 } else { 1.0 };
        let round_trip = self.limit() as f64 / waves;
        size.clamp(MIN_COHORT, MAX_COHORT).max(round_trip)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A limit that is reached all the time, and decides by one cohort after the other.
    struct Client {
        limit: AdaptiveLimit,
        now: Moment,
    }

    impl Client {
        fn new(bounds: Adaptive) -> Self {
            Self {
                limit: AdaptiveLimit::new(bounds),
                now: Moment::ORIGIN,
            }
        }

        /// Lets a cohort depart.
        fn cohort(&mut self) -> Vec<Sample> {
            let (limit, now) = (&mut self.limit, self.now);
            let departures = (0..1_000).map(|_| limit.depart(now, limit.limit()));
            departures.take_while(|sample| sample.cohort > 0).collect()
        }

        /// Answers a cohort after so many milliseconds each. The rest of it fails.
        fn answered(&mut self, millis: impl IntoIterator<Item = u64>) -> usize {
            let (departed, samples) = (self.now, self.cohort());
            let mut millis = millis.into_iter();
            for sample in samples {
                let latency = millis.next();
                self.now = departed + Duration::from_millis(latency.unwrap_or(100));
                let answer = latency.map_or(Answer::Overloaded, |_| Answer::Served);
                self.limit.answer(sample, self.now, answer);
            }
            self.limit.limit()
        }

        /// Answers a cohort after so many milliseconds.
        fn after(&mut self, millis: u64) -> usize {
            self.answered([millis].into_iter().cycle())
        }

        fn failed(&mut self) -> usize {
            self.answered([])
        }

        /// Answers cohorts until the limit is another one, and returns how many it took, and the
        /// limit.
        fn until_trial(&mut self, millis: u64) -> (usize, usize) {
            let before = self.limit.limit();
            let cohorts = (1..100).find(|_| self.after(millis) != before);
            (cohorts.expect("a trial comes"), self.limit.limit())
        }
    }

    fn bounds() -> Adaptive {
        Adaptive::between(1, 1_000).starting_at(100)
    }

    /// The start is over, and latency at 100 in flight is 100 ms.
    fn rested() -> Client {
        let mut client = Client::new(bounds());
        client.limit.set(100);
        assert_eq!(client.after(100), 100);
        client
    }

    /// In a trial up.
    fn at_150() -> Client {
        let mut client = rested();
        assert_eq!(client.after(100), 150);
        client
    }

    #[test]
    fn a_trial_ends_as_soon_as_most_of_it_failed() {
        let mut client = at_150();
        let samples = client.cohort();
        assert_eq!(samples.len(), 150);
        for (n, &sample) in samples.iter().enumerate().take(76) {
            assert_eq!(client.limit.limit(), 150, "{n}");
            client.limit.answer(sample, client.now, Answer::Overloaded);
        }
        assert_eq!(client.limit.limit(), 100);
        for &sample in &samples[76..] {
            client.limit.answer(sample, client.now, Answer::Overloaded);
        }
        assert_eq!(client.limit.limit(), 100, "the others say nothing");
        assert_eq!(client.until_trial(100), (3, 125));
    }

    #[test]
    fn a_cohort_is_as_large_as_the_spread_demands() {
        fn check(start: usize, set: Option<usize>, spread: f64, size: f64) {
            let bounds = Adaptive::between(1, 1_000).starting_at(start);
            let mut limit = AdaptiveLimit::new(bounds);
            set.into_iter().for_each(|base| limit.set(base));
            limit.spread = spread;
            let found = limit.cohort_size();
            assert!((found - size).abs() < 0.01, "{start} {spread}: {found}");
        }
        check(8, Some(8), 0.0, 8.0);
        check(4, Some(4), 0.0, 8.0);
        check(20, Some(20), 0.0, 20.0);
        check(20, None, 0.0, 10.0);
        check(100, None, 1.0, 52.03);
        check(100, Some(100), 1.0, 152.07);
        check(100, Some(100), 10.0, 250.0);
        check(300, Some(300), 10.0, 300.0);
        let mut fixed = AdaptiveLimit::new(Adaptive::between(20, 20));
        fixed.spread = 1e-4;
        assert!(
            (fixed.cohort_size() - 25.0).abs() < 0.01,
            "there is no step"
        );
    }

    #[test]
    fn a_cohort_that_says_too_little_is_joined_by_more() {
        let mut client = Client::new(Adaptive::between(1, 100).starting_at(8));
        client.limit.set(8);
        // A squared coefficient of variation of 0.25 demands 38 requests; four fifths of it will
        // do.
        let latencies = [50, 150].into_iter().cycle();
        assert_eq!(client.limit.cohort_size(), 8.0);
        client.answered(latencies);
        assert_eq!(client.cohort().len(), 31, "eight have come");
    }

    #[test]
    fn a_cohort_that_lacks_a_fifth_is_judged() {
        fn check(cancelled: usize, limit: usize) {
            let mut client = Client::new(Adaptive::between(1, 100).starting_at(20));
            let mut samples = client.cohort();
            assert_eq!(samples.len(), 10);
            for sample in samples.split_off(10 - cancelled) {
                client.limit.cancel(sample);
            }
            for sample in samples {
                client.limit.answer(sample, client.now, Answer::Served);
            }
            assert_eq!(client.limit.limit(), limit, "{cancelled}");
        }
        check(2, 40);
        check(3, 20);
    }

    #[test]
    fn the_spread_falls_by_half_at_most() {
        let mut client = rested();
        client.limit.spread = 0.4;
        client.after(100);
        assert_eq!(client.limit.spread, 0.2);
    }

    #[test]
    fn the_typical_latency_falls_by_half_at_most() {
        let mut client = rested();
        assert_eq!(client.limit.typical, Some(100_000_000.0));
        client.after(10);
        assert_eq!(client.limit.typical, Some(50_000_000.0));
        client.failed();
        assert_eq!(
            client.limit.typical,
            Some(50_000_000.0),
            "nothing was served"
        );
        let mut client = Client::new(bounds());
        client.after(0);
        assert_eq!(client.limit.typical, None, "at once is no measure");
    }

    #[test]
    fn what_is_not_used_does_not_change() {
        let mut limit = AdaptiveLimit::new(bounds());
        let mut now = Moment::ORIGIN;
        for n in 0..1_000 {
            let sample = limit.depart(now, 1 + n % 99);
            now = now + Duration::from_millis(100);
            limit.answer(sample, now, Answer::Served);
            assert_eq!(limit.limit(), 100);
        }
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        fn check(end: fn(&mut AdaptiveLimit, Sample, Moment)) {
            let mut client = rested();
            for _ in 0..20 {
                for sample in client.cohort() {
                    end(&mut client.limit, sample, client.now);
                }
                assert_eq!(client.limit.limit(), 100);
            }
            assert_eq!(client.after(100), 150, "and leaves nothing behind");
        }
        check(|limit, sample, now| limit.answer(sample, now, Answer::Silent));
        check(|limit, sample, _| limit.cancel(sample));
    }

    #[test]
    fn a_cancelled_request_may_complete_a_cohort() {
        let mut client = rested();
        let mut samples = client.cohort();
        let last = samples.pop().unwrap();
        client.now = client.now + Duration::from_millis(100);
        for sample in samples {
            client.limit.answer(sample, client.now, Answer::Served);
        }
        assert_eq!(client.limit.limit(), 100);
        client.limit.cancel(last);
        assert_eq!(client.limit.limit(), 150);
    }

    #[test]
    fn a_request_that_hangs_holds_nothing_up() {
        let mut client = rested();
        let mut samples = client.cohort();
        let hung = samples.pop().unwrap();
        let stale = Sample::default();
        let answered = client.now + Duration::from_millis(100);
        for sample in samples {
            client.limit.answer(sample, answered, Answer::Served);
        }
        let late = client.now + Duration::from_millis(500);
        client
            .limit
            .answer(stale, late - Duration::from_nanos(1), Answer::Silent);
        assert_eq!(client.limit.limit(), 100);
        client.limit.answer(stale, late, Answer::Silent);
        assert_eq!(client.limit.limit(), 150);
        client.limit.answer(hung, late, Answer::Served);
        assert_eq!(client.limit.limit(), 150);
    }

    #[test]
    fn a_limit_that_is_set_ends_the_trial() {
        let mut client = at_150();
        let samples = client.cohort();
        client.limit.set(40);
        assert_eq!(client.limit.limit(), 40);
        for sample in samples {
            client.limit.answer(sample, client.now, Answer::Overloaded);
        }
        assert_eq!(client.limit.limit(), 40, "they departed before");
        assert_eq!(client.until_trial(100), (2, 60));
    }

    #[test]
    fn a_clock_that_goes_back_is_no_latency() {
        let mut client = rested();
        client.now = client.now + Duration::from_secs(1_000);
        let samples = client.cohort();
        for sample in samples {
            client.limit.answer(sample, Moment::ORIGIN, Answer::Served);
        }
        assert_eq!(client.limit.limit(), 150);
        assert_eq!(client.limit.typical, Some(50_000_000.0));
    }

    #[test]
    fn it_is_small() {
        let size = size_of::<AdaptiveLimit>();
        assert!(size <= 256, "{size}");
    }
}
