use super::cohort::Cohort;
use super::trials::Trials;
use crate::Moment;

/// A concurrency limit that is learned from the latency of responses.
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
/// assert_eq!(limit.limit(), 20, "a trial: the limit was reached, so the server may take more");
/// ```
///
/// Every [`depart`](Self::depart) must be followed by exactly one [`answer`](Self::answer) or
/// [`cancel`](Self::cancel).
///
/// # What to expect
///
/// - The limit settles where latency begins to rise. Where latency grows with every request, that
///   is below the highest throughput, and near the best ratio of throughput to latency. An example:
///   each request in flight adds 1 ms to a latency of 100 ms. The limit settles near 50, which has
///   half of the throughput of 200 in flight at half of the latency.
/// - It learns only while the limit is reached. Once it has settled, one request in six departs at
///   1.25 to 1.5 times the settled limit or at two thirds of it, and one in eighteen if the server
///   fails requests that are too many.
/// - The more the latency varies, the longer it takes. One decision needs about 150 answers if the
///   latency's standard deviation equals its mean, and 8 answers or one round trip if it is
///   constant.
/// - Failures that do not depend on the limit leave it unchanged until they are the majority.
/// - Two clients share a server fairly, at 1.2 times the latency, and at up to 2.6 times if latency
///   does not vary by chance. With more clients the queue is many times as long: 3 to 9 times with
///   five of them, since each observes a fifth of its own effect. Give each client its share as the
///   upper bound.
/// - It is no rate limit. Before a server that answers 429 it stays or grows.
///
/// # How it decides
///
/// Latency alone does not show why it rose: by a queue of our own requests, by a longer path, or by
/// chance. A change of the limit does. If our requests queue, latency follows the limit; if they do
/// not, latency stays. So the limit rests at a *base*, and moves away for *trials*: up by half, or
/// down by a third. A trial is measured by a *cohort*: as many requests as the spread of their
/// latencies demands. The base moves to the limit at which latency begins to rise.
///
/// By Little's law the server takes `limit * latency before / latency in the trial` requests
/// without a queue. After a trial up there are three cases:
///
/// - this number is near the limit of the trial: the limit is kept, and the next trial follows at
///   once;
/// - it is well above the base: it is the new base;
/// - otherwise the limit returns to the base, and rests longer before the next trial. After three
///   of these, a trial down looks for a queue at the base in the same way.
///
/// The lowest mean latency is remembered as the *floor*. At more than 1.4 times the floor nothing
/// grows, and a trial down shows whether the queue is ours. If not, the path is longer, and the
/// floor follows it. So several clients do not fill one queue in turns.
///
/// A failure counts as five usual latencies, and so does a request that takes longer than that. As
/// soon as more than half of a cohort has failed, a trial up ends, or the base falls by three
/// tenths.
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    trials: Trials,
    cohort: Cohort,
    /// The mean latency of the served requests of the last cohort, in nanoseconds.
    typical: Option<f64>,
    /// The latency's squared coefficient of variation: the larger of the last cohort's value and
    /// half of the previous `spread`.
    spread: f64,
}

/// The bounds of an [`AdaptiveLimit`], and its first value.
///
/// The upper bound protects a server that many clients share: with three clients or more the queue
/// grows beyond that of one, since each of them observes only a part of its own effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    initial: usize,
    least: usize,
    most: usize,
}

/// A request in flight. The default is a request that does not count when it ends, for a limit that
/// does not adapt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "report the end of the request to the limit"]
pub struct Sample {
    departed: Moment,
    /// The number of its cohort. Zero if the request does not count.
    cohort: u64,
}

/// What an answer says about the load of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request was served: its latency counts.
    Served,
    /// The request failed because the server has too much load.
    Overloaded,
    /// The answer says nothing about the load.
    Silent,
}

/// The ratio of a step to the standard error of a cohort's mean, both in logarithms. If the
/// standard deviation is the mean, a step of 1.5 takes 152 requests. With 3 chance decides too many
/// trials; with 7 decisions take twice as long and are hardly better.
const PRECISION: f64 = 5.0;

/// The fewest requests of a cohort. Fewer do not show how much the latency varies.
const MIN_COHORT: f64 = 8.0;

/// The most requests of a cohort, unless one round trip has more. Without the bound one decision
/// could take very long; a smaller one loses precision where latencies vary more than
/// exponentially.
const MAX_COHORT: f64 = 250.0;

/// The share of a cohort that is enough to decide. Its size was estimated from the spread of the
/// cohort before: to wait for the rest would cost another round trip.
const ENOUGH: f64 = 0.8;

/// The smallest step that the size of a cohort is computed for. If the bounds leave no other limit,
/// the step is zero and would ask for an infinite cohort. Any size is right then.
const LEAST_STEP: f64 = 0.01;

impl AdaptiveLimit {
    /// Returns a limit at its initial value.
    #[must_use]
    pub fn new(bounds: Adaptive) -> Self {
        let mut limit = Self {
            trials: Trials::new(bounds),
            cohort: Cohort::first(),
            typical: None,
            spread: 0.0,
        };
        limit.start_cohort();
        limit
    }

    /// Returns how many requests may be in flight now, in a trial or between trials.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.trials.limit()
    }

    /// Sets the limit to `limit`, or to the nearer bound, and learns on from there. A running trial
    /// ends without a result.
    pub fn set(&mut self, limit: usize) {
        self.trials.set(limit);
        self.start_cohort();
    }

    /// Records that a request departs at `now`, with which `in_flight` requests are in flight. This
    /// does not change the limit.
    ///
    /// The limit counts as reached if `in_flight` is at least the limit. If many answers arrive at
    /// once, pass the limit itself for the requests that depart in their place. Otherwise only the
    /// last of them would reach it.
    pub fn depart(&mut self, now: Moment, in_flight: usize) -> Sample {
        let at_limit = in_flight >= self.limit();
        // At the start requests below the limit count too, so that it is short.
        let any_load = self.trials.is_starting();
        Sample {
            departed: now,
            cohort: self.cohort.join(now, at_limit, any_load),
        }
    }

    /// Records an answer that arrived at `now`. Has no effect if the request departed before the
    /// limit last changed.
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

    /// Records that the caller gave up. That says nothing about the server.
    pub fn cancel(&mut self, sample: Sample) {
        if self.cohort.has(sample.cohort) {
            self.cohort.leave();
            self.conclude(None);
        }
    }

    /// Decides on the next limit if the cohort is complete.
    fn conclude(&mut self, now: Option<Moment>) {
        // Failing => the next cohort, at a lower limit. An overloaded server answers failures fast.
        // To wait for the slow answers of served requests would fail hundreds of requests more.
        if self.cohort.is_failing() {
            self.trials.fail();
            return self.start_cohort();
        }
        // Open | Closed => unchanged: requests are still to depart or to end.
        if !self.cohort.is_complete(now) {
            return;
        }
        // Complete, but all requests left => another cohort at the same limit.
        let Some(finding) = self.cohort.finding() else {
            return self.start_cohort();
        };
        self.spread = self.spread.max(finding.spread);
        // Complete, but too small for the spread that it found => more requests join.
        if finding.requests < ENOUGH * self.cohort_size() {
            return self.cohort.reopen(self.cohort_size());
        }
        // Complete => the next cohort, at the limit that the trials choose.
        self.spread = finding.spread.max(self.spread / 2.0);
        if let Some(served) = finding.served {
            // It falls by half at most: one cohort may miss the slow requests by chance.
            let typical = served.max(self.typical.unwrap_or(0.0) / 2.0);
            // Instant answers are no measure for others.
            self.typical = (typical > 0.0).then_some(typical);
        }
        self.trials.decide(&finding);
        self.start_cohort();
    }

    /// Starts another cohort. The requests in flight do not count any more.
    fn start_cohort(&mut self) {
        self.cohort = self.cohort.next(self.cohort_size(), self.typical);
    }

    /// Returns how many requests a cohort needs to distinguish the limit from the one that it is
    /// compared with.
    fn cohort_size(&self) -> f64 {
        let size = self.spread * (PRECISION / self.trials.step().max(LEAST_STEP)).powi(2);
        // Answers arrive in waves, so a part of a round trip misleads. At the start half of one is
        // enough.
        let waves = if self.trials.is_starting() { 2.0 } else { 1.0 };
        let round_trip = self.limit() as f64 / waves;
        size.clamp(MIN_COHORT, MAX_COHORT).max(round_trip)
    }
}

impl Adaptive {
    const INITIAL: usize = 10;

    /// Returns bounds of `least` and `most` requests, and an initial limit of 10 or the nearer
    /// bound.
    ///
    /// # Panics
    ///
    /// Panics if `least` is zero, which would let nothing through, or more than `most`.
    ///
    /// ```
    /// # use pacing as tower_pace;
    /// use tower_pace::Adaptive;
    ///
    /// assert_eq!(Adaptive::between(1, 4).initial(), 4);
    /// ```
    #[must_use]
    pub const fn between(least: usize, most: usize) -> Self {
        assert!(least > 0, "a concurrency of 0 lets nothing through");
        assert!(least <= most, "the least concurrency is above the most");
        let bounds = Self {
            initial: least,
            least,
            most,
        };
        bounds.starting_at(Self::INITIAL)
    }

    /// Sets the initial limit to `initial` requests, or to the nearer bound.
    ///
    /// To grow from 10 to 200 takes fewer than ten round trips if latencies are alike, and 100 to
    /// 200 if their standard deviation is their mean.
    #[must_use]
    pub const fn starting_at(self, initial: usize) -> Self {
        Self {
            initial: self.clamp(initial),
            ..self
        }
    }

    /// Returns the initial limit.
    #[must_use]
    pub const fn initial(&self) -> usize {
        self.initial
    }

    pub(crate) const fn least(&self) -> usize {
        self.least
    }

    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// Returns the nearest number within the bounds.
    pub(crate) const fn clamp(&self, limit: usize) -> usize {
        if limit < self.least {
            self.least
        } else if limit > self.most {
            self.most
        } else {
            limit
        }
    }
}

impl Default for Adaptive {
    /// From 1 to 200 requests: more than 200 is rarely what a server has room for, from one client.
    fn default() -> Self {
        Self::between(1, 200)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A client that always reaches its limit, and answers one cohort after the other.
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

        /// Sends a cohort.
        fn cohort(&mut self) -> Vec<Sample> {
            let (limit, now) = (&mut self.limit, self.now);
            let departures = (0..1_000).map(|_| limit.depart(now, limit.limit()));
            departures.take_while(|sample| sample.cohort > 0).collect()
        }

        /// Answers the requests of a cohort after these times. The rest of them fail.
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

        /// Answers all requests of a cohort after `millis`.
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
    fn a_trial_ends_as_soon_as_most_of_its_cohort_failed() {
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
        assert_eq!(client.limit.limit(), 100, "the others do not count");
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
            "the bounds leave no step"
        );
    }

    #[test]
    fn more_requests_join_a_cohort_that_is_too_small_for_its_spread() {
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
    fn four_fifths_of_a_cohort_are_enough_to_decide() {
        fn check(canceled: usize, limit: usize) {
            let mut client = Client::new(Adaptive::between(1, 100).starting_at(20));
            let mut samples = client.cohort();
            assert_eq!(samples.len(), 10);
            for sample in samples.split_off(10 - canceled) {
                client.limit.cancel(sample);
            }
            for sample in samples {
                client.limit.answer(sample, client.now, Answer::Served);
            }
            assert_eq!(client.limit.limit(), limit, "{canceled}");
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
    fn a_limit_that_is_not_reached_does_not_change() {
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
    fn silent_answers_and_canceled_requests_change_nothing() {
        fn check(end: fn(&mut AdaptiveLimit, Sample, Moment)) {
            let mut client = rested();
            for _ in 0..20 {
                for sample in client.cohort() {
                    end(&mut client.limit, sample, client.now);
                }
                assert_eq!(client.limit.limit(), 100);
            }
            assert_eq!(client.after(100), 150, "no trace is left");
        }
        check(|limit, sample, now| limit.answer(sample, now, Answer::Silent));
        check(|limit, sample, _| limit.cancel(sample));
    }

    #[test]
    fn a_canceled_request_may_complete_a_cohort() {
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
    fn a_request_that_hangs_delays_no_decision() {
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
    fn setting_the_limit_ends_the_trial() {
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
    fn a_clock_that_goes_back_gives_no_latency() {
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
    fn an_adaptive_limit_takes_at_most_256_bytes() {
        let size = size_of::<AdaptiveLimit>();
        assert!(size <= 256, "{size}");
    }

    #[test]
    fn the_initial_limit_lies_within_the_bounds() {
        fn check(settings: Adaptive, initial: usize) {
            assert_eq!(settings.initial(), initial, "{settings:?}");
        }
        check(Adaptive::default(), 10);
        check(Adaptive::between(1, 4), 4);
        check(Adaptive::between(20, 40), 20);
        check(Adaptive::between(20, 40).starting_at(30), 30);
        check(Adaptive::between(20, 40).starting_at(0), 20);
        check(Adaptive::between(20, 40).starting_at(50), 40);
    }

    #[test]
    #[should_panic(expected = "a concurrency of 0 lets nothing through")]
    fn a_least_of_zero_panics() {
        let _ = Adaptive::between(0, 1);
    }

    #[test]
    #[should_panic(expected = "the least concurrency is above the most")]
    fn a_least_above_the_most_panics() {
        let _ = Adaptive::between(2, 1);
    }
}
