use super::Adaptive;
use super::cohort::{Cohort, Finding};
use crate::Moment;

/// How many requests may be in flight, learned by trying other limits.
///
/// Latency alone does not tell a queue of our own from a longer path or from chance. Changing the limit does: if our
/// requests queue, latency follows the limit; if they do not, it stays. So the limit rests at a base, and moves for trials:
/// up by half, or down by a third. A trial is judged by a cohort, that is by as many requests as the spread of their
/// latencies demands. The base moves to where latency begins to rise.
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
/// Report of every [`depart`](Self::depart) how it ended: exactly one of [`answer`](Self::answer) and
/// [`cancel`](Self::cancel).
///
/// # What to expect
///
/// - The limit settles where latency begins to rise, which is less than the most throughput where latency grows with every
///   request: there it has nearly the best ratio of the two. A linear 100 ms + 1 ms a request has half of the throughput
///   of 200 in flight at two fifths of the latency.
/// - It learns only while the limit is reached. One cohort in six departs at 1.25 to 1.5 times the base or at two thirds
///   of it, and one in eighteen before a server that fails what is too much.
/// - The more latencies vary, the longer it takes: a decision rests on about 150 answers if their standard deviation is
///   their mean, and on 8 or one round trip if they are alike.
/// - Failures that do not depend on the limit leave it alone until they are the majority.
/// - Two clients share a server fairly. From about five on they queue more than one would, since each sees a fifth of what
///   it does: give each its share as the upper bound.
/// - It is no rate limit. Before a server that answers 429 it stays or grows.
///
/// # The rule
///
/// A trial up is kept if it lowers the latency per request in flight: by Little's law the server takes
/// `limit * latency before / latency in the trial` requests without a queue. If that is near the limit of the trial, the next
/// one follows at once. If it is well above the base, it is the new base. A trial down finds a queue the same way.
/// Without a queue, the limit returns to the base.
///
/// The lowest mean latency is remembered as the floor. At more than 1.4 times the floor nothing grows, and a trial down
/// tells whether the queue is ours. If not, the path is longer, and the floor follows it. So several clients do not fill
/// one queue in turns.
///
/// When more than half of a cohort fails, the base falls by three tenths at once.
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    bounds: Adaptive,
    /// The limit between trials.
    base: usize,
    /// The limit now.
    limit: usize,
    phase: Phase,
    cohort: Cohort,
    /// The mean latency that was served in the last cohort, in nanoseconds.
    typical: Option<f64>,
    /// The squared coefficient of variation of latencies: the last cohort's, or half of what it was before.
    spread: f64,
    /// The mean at the base, which a trial is compared with.
    base_mean: f64,
    /// The mean without a queue, as far as it was seen.
    floor: Option<f64>,
    /// No trial up has failed yet: the limit is still far from where it will be.
    is_starting: bool,
    /// The next trial up is a small one.
    is_fine: bool,
    /// Trials up that failed since the last trial down.
    failed_ups: u32,
    /// How many cohorts the base rests after a trial that failed, beside the one that the next trial is compared with.
    pause: u32,
    /// The base before failures lowered it, until it has recovered.
    before_failures: Option<usize>,
}

/// What the limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is the base, for so many more cohorts.
    Rest { more: u32 },
    /// It is above the base, to see whether latency follows.
    Up,
    /// It is below the base, to see whether latency follows. It must, if a latency above the floor is a queue of ours.
    Down { above_floor: bool },
}

/// A request that has departed. The default says nothing when it ends, for a limit that does not learn.
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

/// A cohort is so large that one standard error of its mean is a fifth of the step, in logarithms: at a standard deviation
/// as large as the mean, 152 requests for a step of 1.5. At 3 chance decides too many trials; at 7 decisions take twice as
/// long and are hardly better.
const PRECISION: f64 = 5.0;

/// Of fewer requests the spread is not seen.
const MIN_COHORT: f64 = 8.0;

/// Bounds the time that one decision takes, at the price of some precision where latencies vary more than exponentially.
const MAX_COHORT: f64 = 250.0;

/// A cohort that lacks a fifth is judged all the same. Its size was estimated from the spread of the one before, and to be
/// exact would cost another round trip.
const ENOUGH: f64 = 0.8;

/// How far a trial goes from the base. The requests that it takes fall with the square of the step, and the harm that it
/// does grows with the step.
const STEP: f64 = 1.5;

/// How far a trial up goes until the first one fails. At 1.5 the start takes twice as many round trips.
const FIRST_STEP: f64 = 2.0;

/// Every second trial after one that failed: a step of 1.5 jumps over a sharp knee. Only from 16 on, since below that it
/// is three requests at most, and their effect is lost in the noise.
const FINE_STEP: f64 = 1.25;
const FINE_FROM: usize = 16;

/// A trial up is kept if the server takes at least this share of its limit without a queue. A tenth is the noise of a
/// comparison: 0.8 keeps queues, and at 0.95 chance undoes what was right.
const ACCEPT: f64 = 0.9;

/// A difference by less than this factor is noise, and no reason to move the base.
const GAIN: f64 = 1.1;

/// Leaves a queue of a twentieth, so that the server is not idle while requests come unevenly.
const HEADROOM: f64 = 1.05;

/// A mean above this many floors is a queue, whoever made it. At 1.25 it is often chance; without it two clients raise each
/// other to 17 times the latency.
const QUEUE: f64 = 1.4;

/// A queue is ours if a trial down lowers the latency by this share of what it would if all of it were ours (in
/// logarithms). At zero chance makes every longer path a queue, and the limit never recovers from it; at a half two clients
/// take each other's queue for the path.
const OURS: f64 = 0.125;

/// How much of the way to a mean that is not our queue the floor goes up. At a half it follows the queue of another client.
const RELEARN: f64 = 0.3;

/// The longest pause between trials. Twice as long finds new capacity later, half as long spends more time in trials. Trials
/// that end in failures hurt the caller, so there are fewer of them.
const MAX_PAUSE: u32 = 4;
const MAX_PAUSE_OF_FAILURES: u32 = 16;

/// A trial down costs throughput, so several trials up must have failed before it.
const UPS_PER_DOWN: u32 = 3;

impl AdaptiveLimit {
    /// Returns a limit that has learned nothing yet.
    #[must_use]
    pub fn new(bounds: Adaptive) -> Self {
        let base = bounds.initial();
        let mut limit = Self {
            bounds,
            base,
            limit: base,
            phase: Phase::Rest { more: 0 },
            cohort: Cohort::first(0.0),
            typical: None,
            spread: 0.0,
            base_mean: 0.0,
            floor: None,
            is_starting: true,
            is_fine: false,
            failed_ups: 0,
            pause: 1,
            before_failures: None,
        };
        limit.gather();
        limit
    }

    /// Returns how many requests may be in flight, in a trial as between trials.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Goes on from `limit`, or from the nearer bound. A trial that runs ends without a result.
    pub fn set(&mut self, limit: usize) {
        self.is_starting = false;
        self.before_failures = None;
        self.move_base(limit);
    }

    /// Records that a request departs at `now`, after which `in_flight` are. Does not change the limit.
    pub fn depart(&mut self, now: Moment, in_flight: usize) -> Sample {
        let at_limit = in_flight >= self.limit;
        Sample {
            departed: now,
            cohort: self.cohort.join(now, at_limit, self.is_starting),
        }
    }

    /// Records an answer that came at `now`. Without effect on what departed before the limit changed.
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
        // A server that refuses does so fast. To wait for what it does serve would fail hundreds of requests more.
        if self.phase == Phase::Up && self.cohort.is_lost() {
            return self.give_up(MAX_PAUSE_OF_FAILURES);
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
        match self.phase {
            Phase::Rest { more } => self.rested(finding, more),
            Phase::Up => self.tried_up(finding),
            Phase::Down { above_floor } => self.tried_down(finding, above_floor),
        }
    }

    fn rested(&mut self, finding: Finding, more: u32) {
        // Most requests fail. That needs no trial: less at once, and again by each cohort for which it goes on.
        if finding.is_failing {
            self.before_failures.get_or_insert(self.base);
            self.base = self.bounds.clamp(seven_tenths(self.base));
            self.failed_ups = 0;
            self.pause = 1;
            return self.rest(0);
        }
        // The failures are over. Double by each cohort, up to seven tenths of what they began at.
        if let Some(before) = self.before_failures {
            return self.recover(before);
        }
        self.base_mean = finding.mean;
        let floor = self.lower_floor(finding.mean);
        // There is a queue, and a trial down tells whose.
        if finding.mean > QUEUE * floor {
            self.pause = 1;
            return self.try_down(true);
        }
        if more > 0 {
            self.phase = Phase::Rest { more: more - 1 };
            return self.gather();
        }
        // Several trials up have failed. The base may have a queue that the floor was learned with.
        if self.failed_ups >= UPS_PER_DOWN {
            self.try_down(false);
        } else {
            self.try_up();
        }
    }

    fn recover(&mut self, before: usize) {
        let goal = seven_tenths(before).max(self.base);
        let doubled = self.base.saturating_mul(2);
        if doubled >= goal {
            self.before_failures = None;
        }
        // The failures' spread would ask for cohorts that are too large.
        self.spread = 0.0;
        self.move_base(doubled.min(goal));
    }

    fn tried_up(&mut self, finding: Finding) {
        // Failures and late requests took most of the time.
        if finding.is_mostly_lost {
            return self.give_up(MAX_PAUSE_OF_FAILURES);
        }
        let limit = self.limit as f64;
        let knee = limit * self.base_mean / finding.mean;
        // All or nearly all of it is served without a queue: keep it, and try more at once.
        if knee >= ACCEPT * limit {
            self.base = self.limit;
            self.base_mean = finding.mean;
            self.is_fine = false;
            self.pause = 1;
            self.failed_ups = 0;
            let is_queue = self.floor.is_some_and(|floor| finding.mean > QUEUE * floor);
            return if is_queue {
                self.try_down(true)
            } else {
                self.try_up()
            };
        }
        let base = rounded(knee);
        if knee > GAIN * self.base as f64 && base > self.base {
            // A part of the step is served without a queue. Another step from there is a small one.
            self.count_failed_up();
            self.is_fine = true;
            self.move_base(base);
        } else {
            self.give_up(MAX_PAUSE);
        }
    }

    /// Returns to the base. Each trial up that fails doubles the pause to the next one, up to `longest`.
    fn give_up(&mut self, longest: u32) {
        self.count_failed_up();
        self.is_fine = !self.is_fine;
        self.pause = (self.pause * 2).min(longest);
        self.rest(self.pause);
    }

    /// The start doubled the limit, so it may have kept a queue: after its first failure a trial down comes next.
    fn count_failed_up(&mut self) {
        self.failed_ups += 1;
        if self.is_starting {
            self.is_starting = false;
            self.failed_ups = UPS_PER_DOWN;
        }
    }

    fn tried_down(&mut self, finding: Finding, above_floor: bool) {
        let floor = self.lower_floor(finding.mean);
        let less = self.limit as f64 / self.base as f64;
        let ratio = finding.mean / self.base_mean;
        let headroom = if above_floor { 1.0 } else { HEADROOM };
        let knee = rounded(self.base as f64 * ratio * headroom);
        // Less in flight is no faster: the path is longer, or the queue is another client's.
        let is_ours = !above_floor || ratio.ln() / less.ln() >= OURS;
        if knee >= self.base || !is_ours {
            self.floor = Some(floor + (finding.mean - floor).max(0.0) * RELEARN);
            return self.rest(self.pause);
        }
        self.is_starting = false;
        // All of it was a queue: stay, and try still less at once.
        if ratio <= less * GAIN {
            self.base = self.limit;
            self.base_mean = finding.mean;
            self.pause = 1;
            return self.try_down(above_floor);
        }
        // The queue begins between the two limits.
        self.move_base(knee.max(self.limit));
    }

    /// Keeps the mean without a queue. Halfway to a lower one, since one cohort can err.
    fn lower_floor(&mut self, mean: f64) -> f64 {
        let floor = self.floor.unwrap_or(mean);
        let floor = floor - (floor - mean).max(0.0) / 2.0;
        self.floor = Some(floor);
        floor
    }

    fn try_up(&mut self) {
        if self.base >= self.bounds.most() {
            return self.rest(1);
        }
        self.enter(Phase::Up, self.limit_up());
    }

    fn try_down(&mut self, above_floor: bool) {
        self.failed_ups = 0;
        // There is no less to try. What is above the floor has to be the floor then, or nothing would ever grow again.
        if self.base <= self.bounds.least() {
            self.floor = Some(self.base_mean);
            return self.rest(1);
        }
        self.enter(Phase::Down { above_floor }, self.limit_down());
    }

    /// Moves the base to `limit`, or to the nearer bound. The first cohort there lets the queue settle that was before.
    fn move_base(&mut self, limit: usize) {
        self.base = self.bounds.clamp(limit);
        self.pause = 1;
        self.rest(1);
    }

    /// Stays at the base for a cohort, and `more`.
    fn rest(&mut self, more: u32) {
        self.enter(Phase::Rest { more }, self.base);
    }

    fn enter(&mut self, phase: Phase, limit: usize) {
        self.phase = phase;
        self.limit = limit;
        self.gather();
    }

    /// Begins another cohort. The requests in flight say nothing of the limit any more.
    fn gather(&mut self) {
        self.cohort = self.cohort.next(self.cohort_size(), self.typical);
    }

    /// Returns how many requests a cohort takes, to tell the limit from the one that it is compared with.
    fn cohort_size(&self) -> f64 {
        let is_down_next = self.failed_ups >= UPS_PER_DOWN || self.base >= self.bounds.most();
        let other = match self.phase {
            Phase::Rest { .. } if is_down_next => self.limit_down(),
            Phase::Rest { .. } => self.limit_up(),
            Phase::Up | Phase::Down { .. } => self.limit,
        };
        // Zero if the bounds leave no choice, and then any size will do.
        let apart = (other as f64 / self.base as f64).ln().abs().max(0.01);
        // Answers come in waves, so a part of a round trip misleads. The start can do with half of one.
        let waves = if self.is_starting { 2.0 } else { 1.0 };
        let size = self.spread * (PRECISION / apart).powi(2);
        size.clamp(MIN_COHORT, MAX_COHORT)
            .max(self.limit as f64 / waves)
    }

    /// Returns the limit of a trial up. The base must be below its bound.
    fn limit_up(&self) -> usize {
        let step = if self.is_starting {
            FIRST_STEP
        } else if self.is_fine && self.base >= FINE_FROM {
            FINE_STEP
        } else {
            STEP
        };
        let limit = rounded(self.base as f64 * step);
        self.bounds.clamp(limit.max(self.base + 1))
    }

    fn limit_down(&self) -> usize {
        let limit = rounded(self.base as f64 / STEP);
        self.bounds.clamp(limit.min(self.base - 1))
    }
}

fn rounded(limit: f64) -> usize {
    limit.round() as usize
}

/// The product would overflow where the bound is the largest number.
fn seven_tenths(limit: usize) -> usize {
    limit / 10 * 7 + limit % 10 * 7 / 10
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
            let mut samples = Vec::new();
            loop {
                let sample = self.limit.depart(self.now, self.limit.limit());
                if sample.cohort == 0 {
                    return samples;
                }
                samples.push(sample);
            }
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

        /// Answers cohorts until the limit is another one, and returns how many it took, and the limit.
        fn until_trial(&mut self, millis: u64) -> (usize, usize) {
            let before = self.limit.limit();
            let mut cohorts = 1;
            while self.after(millis) == before {
                cohorts += 1;
            }
            (cohorts, self.limit.limit())
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

    /// In a trial down that failed trials up led to.
    fn at_67() -> Client {
        let mut client = at_150();
        for (cohorts, limit) in [(3, 125), (5, 150), (5, 67)] {
            assert_eq!(client.after(200), 100);
            assert_eq!(client.until_trial(100), (cohorts, limit));
        }
        client
    }

    /// In a trial down, since latency rose from 100 ms to 200 ms.
    fn above_the_floor() -> Client {
        let mut client = rested();
        assert_eq!(client.after(200), 67);
        client
    }

    #[test]
    fn it_doubles_until_a_trial_fails() {
        let mut client = Client::new(Adaptive::between(1, 100));
        let limits = [(); 5].map(|()| client.after(100));
        assert_eq!(limits, [20, 40, 80, 100, 100]);
        let mut client = Client::new(bounds());
        assert_eq!(client.after(100), 200);
        assert_eq!(client.after(200), 100, "no more than 100 are served");
        assert_eq!(client.until_trial(100), (3, 67), "a trial down follows");
    }

    #[test]
    fn a_trial_up_is_kept_moves_the_base_or_is_given_up() {
        fn check(mut client: Client, millis: u64, limit: usize, base: usize) {
            assert_eq!(client.after(millis), limit, "{millis}");
            assert_eq!(client.limit.base, base, "{millis}");
        }
        check(at_150(), 100, 225, 150);
        check(at_150(), 111, 225, 150);
        check(at_150(), 112, 134, 134);
        check(at_150(), 136, 110, 110);
        check(at_150(), 137, 100, 100);
        check(at_150(), 1_000, 100, 100);
    }

    #[test]
    fn a_trial_up_never_moves_the_base_by_nothing() {
        let mut client = Client::new(Adaptive::between(1, 10).starting_at(1));
        client.limit.set(1);
        client.after(100);
        assert_eq!(client.after(100), 2);
        assert_eq!(client.after(160), 1, "1.25 are 1");
        assert_eq!(client.limit.pause, 2, "which is no move");
    }

    #[test]
    fn trials_that_fail_come_ever_more_seldom() {
        at_67();
    }

    #[test]
    fn a_step_after_a_failed_one_is_small() {
        let mut client = at_150();
        assert_eq!(client.after(125), 120, "there is a knee");
        assert_eq!(client.until_trial(100), (2, 150));
        assert_eq!(client.after(100), 225, "a success makes steps large again");
        let mut client = Client::new(bounds());
        client.limit.set(15);
        for (cohorts, limit) in [(2, 23), (3, 23)] {
            assert_eq!(client.until_trial(100), (cohorts, limit), "below 16");
            client.after(200);
        }
    }

    #[test]
    fn a_trial_up_that_fails_in_part_is_no_success() {
        let mut client = at_150();
        // 120 x 100 ms, and 30 failures of 500 ms each.
        assert_eq!(client.answered([100; 120]), 100);
        assert_eq!(client.until_trial(100), (3, 125));
    }

    #[test]
    fn trials_that_end_in_failures_come_most_seldom() {
        let mut client = at_150();
        for cohorts in [3, 5, 9, 17, 17] {
            client.failed();
            if client.limit.failed_ups == UPS_PER_DOWN {
                client.limit.failed_ups = 0;
            }
            assert_eq!(client.limit.limit(), 100);
            assert_eq!(client.until_trial(100).0, cohorts);
        }
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
    fn a_kept_trial_above_the_floor_is_checked_at_once() {
        let mut client = rested();
        client.limit.floor = Some(75_000_000.0);
        assert_eq!(client.after(100), 150);
        assert_eq!(client.after(106), 100, "1.4 x 75 ms are less");
        assert_eq!(client.limit.base, 150);
        let mut client = rested();
        client.limit.floor = Some(75_000_000.0);
        client.after(100);
        assert_eq!(client.after(105), 225, "1.4 x 75 ms are as much");
    }

    #[test]
    fn a_trial_down_stays_moves_the_base_or_returns() {
        fn check(millis: u64, limit: usize, base: usize) {
            let mut client = at_67();
            assert_eq!(client.after(millis), limit, "{millis}");
            assert_eq!(client.limit.base, base, "{millis}");
            assert!(!client.limit.is_starting);
        }
        check(120, 100, 100);
        check(95, 100, 100);
        check(94, 99, 99);
        check(74, 78, 78);
        // All of it was a queue: a third less again.
        check(73, 45, 67);
        check(10, 45, 67);
    }

    #[test]
    fn above_the_floor_a_trial_down_tells_whose_queue_it_is() {
        fn check(millis: u64, limit: usize, floor: f64) {
            let mut client = above_the_floor();
            assert_eq!(client.after(millis), limit, "{millis}");
            let found = client.limit.floor.unwrap() / 1e6;
            assert!((found - floor).abs() < 1e-6, "{millis}: {found}");
        }
        check(250, 100, 145.0);
        check(200, 100, 130.0);
        // ln 0.955 / ln 0.67 is less than an eighth, and ln 0.95 / ln 0.67 is more.
        check(191, 100, 127.3);
        check(190, 95, 100.0);
        check(150, 75, 100.0);
        check(147, 45, 100.0);
        check(80, 45, 90.0);
    }

    #[test]
    fn a_longer_path_is_learned_and_growth_goes_on() {
        let mut client = above_the_floor();
        assert_eq!(client.after(200), 100);
        assert_eq!(client.after(200), 67, "1.4 x 130 ms are less");
        assert_eq!(client.after(200), 100);
        assert_eq!(client.until_trial(200), (2, 150), "1.4 x 151 ms are more");
    }

    #[test]
    fn a_mean_of_1_4_floors_is_no_queue() {
        let mut client = rested();
        assert_eq!(client.after(140), 150);
        let mut client = rested();
        assert_eq!(client.after(141), 67);
    }

    #[test]
    fn the_floor_goes_halfway_to_a_lower_mean() {
        let mut client = rested();
        client.after(80);
        assert_eq!(client.limit.floor, Some(90_000_000.0));
        client.limit.set(100);
        client.after(95);
        assert_eq!(client.limit.floor, Some(90_000_000.0));
    }

    #[test]
    fn at_its_least_it_learns_the_latency_that_there_is() {
        let mut client = Client::new(Adaptive::between(10, 100));
        client.limit.set(10);
        client.after(100);
        assert_eq!(client.after(200), 10, "there is no less to try");
        assert_eq!(client.limit.floor, Some(200_000_000.0));
        assert_eq!(client.until_trial(200), (2, 15));
    }

    #[test]
    fn when_most_requests_fail_it_falls_at_once_and_doubles_when_that_is_over() {
        let mut client = rested();
        assert_eq!(client.answered([100; 50]), 67, "half may be a queue");
        let mut client = rested();
        assert_eq!(client.answered([100; 49]), 70);
        let limits = [(); 4].map(|()| client.failed());
        assert_eq!(limits, [49, 34, 23, 16]);
        let limits = [(); 3].map(|()| client.after(100));
        assert_eq!(limits, [32, 64, 70]);
        assert_eq!(client.until_trial(100), (2, 105), "and is as it was");
    }

    #[test]
    fn after_failures_it_does_not_double_beyond_seven_tenths() {
        let mut client = rested();
        assert_eq!(client.failed(), 70);
        assert_eq!(client.after(100), 70);
        assert_eq!(client.limit.before_failures, None);
        // Two bases lead to the goal by a last doubling.
        let mut client = rested();
        client.limit.before_failures = Some(100);
        client.limit.base = 35;
        client.limit.rest(0);
        assert_eq!(client.after(100), 70);
        assert_eq!(client.limit.before_failures, None);
    }

    #[test]
    fn failures_never_lower_it_below_its_least() {
        let mut client = Client::new(Adaptive::between(3, 10));
        let limits = [(); 5].map(|()| client.failed());
        assert_eq!(limits, [7, 4, 3, 3, 3]);
    }

    #[test]
    fn a_cohort_is_as_large_as_the_spread_demands() {
        fn check(base: usize, spread: f64, is_starting: bool, size: f64) {
            let mut limit = AdaptiveLimit::new(bounds());
            limit.set(base);
            (limit.spread, limit.is_starting) = (spread, is_starting);
            let found = limit.cohort_size();
            assert!((found - size).abs() < 0.01, "{base} {spread}: {found}");
        }
        check(8, 0.0, false, 8.0);
        check(4, 0.0, false, 8.0);
        check(20, 0.0, false, 20.0);
        check(20, 0.0, true, 10.0);
        check(100, 1.0, true, 52.03);
        check(100, 1.0, false, 152.07);
        check(100, 10.0, false, 250.0);
        check(300, 10.0, false, 300.0);
    }

    #[test]
    fn a_cohort_is_as_large_as_the_next_step_is_small() {
        let mut limit = AdaptiveLimit::new(bounds());
        limit.set(100);
        limit.spread = 0.2;
        let size = |limit: &AdaptiveLimit| limit.cohort_size().round() as usize;
        assert_eq!(size(&limit), 100);
        limit.base = 20;
        limit.limit = 20;
        assert_eq!(size(&limit), 30);
        limit.is_fine = true;
        assert_eq!(size(&limit), 100);
        // A trial down comes next: to 13.
        limit.failed_ups = UPS_PER_DOWN;
        assert_eq!(size(&limit), 27);
        limit.failed_ups = 0;
        limit.bounds = Adaptive::between(1, 20);
        assert_eq!(size(&limit), 27);
        limit.bounds = Adaptive::between(20, 20);
        assert_eq!(size(&limit), 250, "there is no step");
        // In a trial, the step is the one that was taken.
        limit.bounds = bounds();
        (limit.phase, limit.limit) = (Phase::Up, 40);
        assert_eq!(size(&limit), 40);
        limit.limit = 28;
        assert_eq!(size(&limit), 44);
    }

    #[test]
    fn a_cohort_that_says_too_little_is_joined_by_more() {
        let mut client = Client::new(Adaptive::between(1, 100).starting_at(8));
        client.limit.set(8);
        // A squared coefficient of variation of 0.25 demands 38 requests; four fifths of it will do.
        let latencies = [50, 150].into_iter().cycle();
        assert_eq!(client.limit.cohort_size(), 8.0);
        client.answered(latencies.clone());
        assert_eq!(client.cohort().len(), 31, "eight have come");
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
        client.limit.set(0);
        assert_eq!(client.limit.limit(), 1);
        client.limit.set(5_000);
        assert_eq!(client.limit.limit(), 1_000);
        client.limit.before_failures = Some(1_000);
        client.limit.set(10);
        assert_eq!(client.until_trial(100), (2, 15), "failures are forgotten");
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
        assert_eq!(client.limit.base_mean, 1.0);
    }

    #[test]
    fn the_largest_bounds_overflow_nothing() {
        let mut client = Client::new(Adaptive::between(usize::MAX - 1, usize::MAX));
        let sample = client.limit.depart(client.now, usize::MAX);
        client.limit.answer(sample, client.now, Answer::Overloaded);
        client.limit.set(usize::MAX);
        client.limit.before_failures = Some(usize::MAX);
        client.limit.recover(usize::MAX);
        assert_eq!(client.limit.limit(), usize::MAX);
        assert_eq!(
            seven_tenths(usize::MAX),
            (usize::MAX as u128 * 7 / 10) as usize
        );
    }

    #[test]
    fn it_is_small() {
        let size = size_of::<AdaptiveLimit>();
        assert!(size <= 256, "{size}");
    }
}
