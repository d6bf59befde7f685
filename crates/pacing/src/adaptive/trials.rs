use super::Adaptive;
use super::cohort::Finding;
use super::floor::Floor;
use super::steps::{Size, down_from, rounded};

/// Decides which limit is tried next, by what the cohorts find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    bounds: Adaptive,
    /// The limit between trials.
    base: usize,
    /// The limit now.
    limit: usize,
    phase: Phase,
    /// The mean at the base, which a trial is compared with.
    base_mean: f64,
    floor: Floor,
    /// The size of the next trial up. [`Size::First`] until one fails: the limit is still far from
    /// where it will be.
    size: Size,
    /// Trials up that failed since the last trial down.
    failed_ups: u32,
    /// How many cohorts the base rests after a trial that failed, beside the one that the next
    /// trial is compared with.
    pause: u32,
    /// The base before failures lowered it, until it has recovered.
    before_failures: Option<usize>,
}

/// What the limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is the base, for this cohort and so many more.
    Rest { more: u32 },
    /// It is above the base, to see whether latency follows.
    Up,
    /// It is below the base, to see whether latency follows. It must, if a latency above the floor
    /// is a queue of ours.
    Down { above_floor: bool },
}

/// A trial up is kept if the server takes at least this share of its limit without a queue. A tenth
/// is the noise of a comparison: 0.8 keeps queues, and at 0.95 chance undoes what was right.
const ACCEPT: f64 = 0.9;

/// A difference by less than this factor is noise, and no reason to move the base.
const GAIN: f64 = 1.1;

/// Leaves a queue of a twentieth, so that the server is not idle while requests come unevenly.
const HEADROOM: f64 = 1.05;

/// A queue is ours if a trial down lowers the latency by this share of what it would if all of it
/// were ours (in logarithms). At zero chance makes every longer path a queue, and the limit never
/// recovers from it; at a half two clients take each other's queue for the path.
const OURS: f64 = 0.125;

/// The longest pause between trials. Twice as long finds new capacity later, half as long spends
/// more time in trials. Trials that end in failures hurt the caller, so there are fewer of them.
const MAX_PAUSE: u32 = 4;
const MAX_PAUSE_OF_FAILURES: u32 = 16;

/// A trial down costs throughput, so several trials up must have failed before it.
const UPS_PER_DOWN: u32 = 3;

impl Trials {
    pub(super) fn new(bounds: Adaptive) -> Self {
        let base = bounds.initial();
        Self {
            bounds,
            base,
            limit: base,
            phase: Phase::Rest { more: 0 },
            base_mean: 0.0,
            floor: Floor::default(),
            size: Size::First,
            failed_ups: 0,
            pause: 1,
            before_failures: None,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn is_starting(&self) -> bool {
        self.size == Size::First
    }

    /// Returns the ratio of the limit to the one that it is compared with, in logarithms.
    pub(super) fn step(&self) -> f64 {
        let is_down_next = self.failed_ups >= UPS_PER_DOWN || self.base >= self.bounds.most();
        let other = match self.phase {
            Phase::Rest { .. } if is_down_next => self.limit_down(),
            Phase::Rest { .. } => self.limit_up(),
            Phase::Up | Phase::Down { .. } => self.limit,
        };
        (other as f64 / self.base as f64).ln().abs()
    }

    /// Goes on from `limit`, or from the nearer bound.
    pub(super) fn set(&mut self, limit: usize) {
        self.size = self.size.after_start();
        self.before_failures = None;
        self.move_base(limit);
    }

    /// Chooses the next limit, by the cohort that judged this one.
    pub(super) fn decide(&mut self, finding: &Finding) {
        match self.phase {
            Phase::Rest { more } => self.rested(finding, more),
            Phase::Up => self.tried_up(finding),
            Phase::Down { above_floor } => self.tried_down(finding, above_floor),
        }
    }

    /// Chooses the next limit after a cohort most of which failed.
    pub(super) fn fail(&mut self) {
        // The limit of a trial is too much, and the base may be right.
        if self.phase == Phase::Up {
            return self.give_up(Size::Hard, MAX_PAUSE_OF_FAILURES);
        }
        // It is too much even for a server that is asked for no more than usual. That needs no
        // trial: less at once, and again by each cohort for which it goes on.
        self.before_failures.get_or_insert(self.base);
        self.base = self.bounds.clamp(seven_tenths(self.limit));
        self.failed_ups = 0;
        self.pause = 1;
        self.rest(0);
    }

    fn rested(&mut self, finding: &Finding, more: u32) {
        // The failures are over. Double by each cohort, up to seven tenths of what they began at.
        if let Some(before) = self.before_failures {
            return self.recover(before);
        }
        self.base_mean = finding.mean;
        self.floor.see(finding.mean);
        // There is a queue, and a trial down tells whose.
        if self.floor.is_below(finding.mean) {
            self.pause = 1;
            return self.try_down(true);
        }
        if more > 0 {
            self.phase = Phase::Rest { more: more - 1 };
            return;
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
        self.move_base(doubled.min(goal));
    }

    fn tried_up(&mut self, finding: &Finding) {
        // Failures and late requests took most of the time.
        if finding.is_mostly_lost {
            return self.give_up(Size::Hard, MAX_PAUSE_OF_FAILURES);
        }
        let limit = self.limit as f64;
        let knee = limit * self.base_mean / finding.mean;
        // All or nearly all of it is served without a queue: keep it, and try more at once.
        if knee >= ACCEPT * limit {
            self.base = self.limit;
            self.base_mean = finding.mean;
            self.size = self.size.after_success();
            self.pause = 1;
            self.failed_ups = 0;
            return if self.floor.is_below(finding.mean) {
                self.try_down(true)
            } else {
                self.try_up()
            };
        }
        let base = rounded(knee);
        if knee > GAIN * self.base as f64 && base > self.base {
            // A part of the step is served without a queue. Another step from there is a small one.
            self.count_failed_up();
            self.size = Size::Fine;
            self.move_base(base);
        } else {
            self.give_up(Size::Fine, MAX_PAUSE);
        }
    }

    /// Returns to the base. Each trial up that fails doubles the pause to the next one, up to
    /// `longest`.
    fn give_up(&mut self, small: Size, longest: u32) {
        self.count_failed_up();
        self.size = self.size.after_failure(small);
        self.pause = (self.pause * 2).min(longest);
        self.rest(self.pause);
    }

    /// The start doubled the limit, so it may have kept a queue: after its first failure a trial
    /// down comes next.
    fn count_failed_up(&mut self) {
        self.failed_ups = match self.is_starting() {
            true => UPS_PER_DOWN,
            false => self.failed_ups + 1,
        };
    }

    fn tried_down(&mut self, finding: &Finding, above_floor: bool) {
        self.floor.see(finding.mean);
        let less = self.limit as f64 / self.base as f64;
        let ratio = finding.mean / self.base_mean;
        let headroom = if above_floor { 1.0 } else { HEADROOM };
        let knee = rounded(self.base as f64 * ratio * headroom);
        // Less in flight is no faster: the path is longer, or the queue is another client's.
        let is_ours = !above_floor || ratio.ln() / less.ln() >= OURS;
        if knee >= self.base || !is_ours {
            self.floor.rise_to(finding.mean);
            return self.rest(self.pause);
        }
        self.size = self.size.after_start();
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

    fn try_up(&mut self) {
        if self.base >= self.bounds.most() {
            return self.rest(1);
        }
        self.enter(Phase::Up, self.limit_up());
    }

    fn try_down(&mut self, above_floor: bool) {
        self.failed_ups = 0;
        // There is no less to try. What is above the floor has to be the floor then, or nothing
        // would ever grow again.
        if self.base <= self.bounds.least() {
            self.floor.set(self.base_mean);
            return self.rest(1);
        }
        self.enter(Phase::Down { above_floor }, self.limit_down());
    }

    /// Moves the base to `limit`, or to the nearer bound. The first cohort there lets the queue
    /// settle that was before.
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
    }

    /// Returns the limit of a trial up. The base must be below its bound.
    fn limit_up(&self) -> usize {
        self.bounds.clamp(self.size.up_from(self.base))
    }

    fn limit_down(&self) -> usize {
        self.bounds.clamp(down_from(self.base))
    }
}

/// The product would overflow where the bound is the largest number.
fn seven_tenths(limit: usize) -> usize {
    limit / 10 * 7 + limit % 10 * 7 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit that decides by one cohort after the other.
    struct Client(Trials);

    impl Client {
        fn new(bounds: Adaptive) -> Self {
            Self(Trials::new(bounds))
        }

        fn set(&mut self, limit: usize) {
            self.0.set(limit);
        }

        /// The mean of a cohort is so many milliseconds.
        fn after(&mut self, millis: u64) -> usize {
            self.finds(millis, false)
        }

        /// Most of a cohort failed.
        fn failed(&mut self) -> usize {
            self.0.fail();
            self.0.limit()
        }

        fn finds(&mut self, millis: u64, is_mostly_lost: bool) -> usize {
            self.0.decide(&Finding {
                requests: 100.0,
                mean: millis as f64 * 1e6,
                spread: 0.0,
                served: None,
                is_mostly_lost,
            });
            self.0.limit()
        }

        /// Goes on until the limit is another one, and returns how many cohorts it took, and the
        /// limit.
        fn until_trial(&mut self, millis: u64) -> (usize, usize) {
            let before = self.0.limit();
            let cohorts = (1..100).find(|_| self.after(millis) != before);
            (cohorts.expect("a trial comes"), self.0.limit())
        }
    }

    fn bounds() -> Adaptive {
        Adaptive::between(1, 1_000).starting_at(100)
    }

    /// The start is over, and latency at 100 in flight is 100 ms.
    fn rested() -> Client {
        let mut client = Client::new(bounds());
        client.set(100);
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
            assert_eq!(client.0.base, base, "{millis}");
        }
        check(at_150(), 100, 225, 150);
        check(at_150(), 111, 225, 150);
        check(at_150(), 112, 134, 134);
        check(at_150(), 136, 110, 110);
        check(at_150(), 137, 100, 100);
        check(at_150(), 1_000, 100, 100);
    }

    #[test]
    fn a_tenth_is_no_gain() {
        let mut client = Client::new(bounds());
        client.set(10);
        assert_eq!(client.until_trial(110), (2, 15));
        assert_eq!(client.after(150), 10, "15 x 110 ms / 150 ms are 11");
    }

    #[test]
    fn a_trial_up_never_moves_the_base_by_nothing() {
        let mut client = Client::new(Adaptive::between(1, 10).starting_at(1));
        client.set(1);
        client.after(100);
        assert_eq!(client.after(100), 2);
        assert_eq!(client.after(160), 1, "1.25 are 1");
        assert_eq!(client.0.pause, 2, "which is no move");
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
        client.set(15);
        for (cohorts, limit) in [(2, 23), (3, 23)] {
            assert_eq!(client.until_trial(100), (cohorts, limit), "below 16");
            client.after(200);
        }
    }

    #[test]
    fn a_trial_up_that_fails_in_part_is_no_success() {
        let mut client = at_150();
        assert_eq!(client.finds(100, true), 100);
        assert_eq!(client.until_trial(100), (3, 125));
    }

    #[test]
    fn trials_that_end_in_failures_come_most_seldom() {
        let mut client = at_150();
        for cohorts in [3, 5, 9, 17, 17] {
            client.failed();
            if client.0.failed_ups == UPS_PER_DOWN {
                client.0.failed_ups = 0;
            }
            assert_eq!(client.0.limit(), 100);
            assert_eq!(client.until_trial(100).0, cohorts);
        }
    }

    #[test]
    fn a_kept_trial_above_the_floor_is_checked_at_once() {
        let mut client = rested();
        client.0.floor.set(75_000_000.0);
        assert_eq!(client.after(100), 150);
        assert_eq!(client.after(106), 100, "1.4 x 75 ms are less");
        assert_eq!(client.0.base, 150);
        let mut client = rested();
        client.0.floor.set(75_000_000.0);
        client.after(100);
        assert_eq!(client.after(105), 225, "1.4 x 75 ms are as much");
    }

    #[test]
    fn a_trial_down_stays_moves_the_base_or_returns() {
        fn check(millis: u64, limit: usize, base: usize) {
            let mut client = at_67();
            assert_eq!(client.after(millis), limit, "{millis}");
            assert_eq!(client.0.base, base, "{millis}");
            assert!(!client.0.is_starting());
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
            // A mean just below 1.4 floors is no queue, and one just above is.
            let mean = 1.4e6 * floor;
            let around = [mean - 1.0, mean + 1.0].map(|mean| client.0.floor.is_below(mean));
            assert_eq!(around, [false, true], "{millis}");
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
    fn at_its_least_it_learns_the_latency_that_there_is() {
        let mut client = Client::new(Adaptive::between(10, 100));
        client.set(10);
        client.after(100);
        assert_eq!(client.after(200), 10, "there is no less to try");
        assert_eq!(client.until_trial(200), (2, 15));
    }

    #[test]
    fn when_most_requests_fail_it_falls_at_once_and_doubles_when_that_is_over() {
        let mut client = rested();
        assert_eq!(client.finds(300, true), 67, "half may be a queue");
        let mut client = rested();
        assert_eq!(client.failed(), 70);
        let limits = [(); 4].map(|()| client.failed());
        assert_eq!(limits, [49, 34, 23, 16]);
        let limits = [(); 3].map(|()| client.after(100));
        assert_eq!(limits, [32, 64, 70]);
        assert_eq!(client.until_trial(100), (2, 105), "and is as it was");
    }

    #[test]
    fn failures_in_a_trial_down_lower_the_base() {
        let mut client = at_67();
        assert_eq!(client.failed(), 46);
        assert_eq!(client.after(100), 70);
        assert_eq!(client.until_trial(100), (2, 88), "the next trial is fine");
    }

    #[test]
    fn what_fails_above_a_small_limit_is_found_by_ones() {
        let mut client = Client::new(bounds());
        client.set(4);
        assert_eq!(client.until_trial(100), (2, 6));
        assert_eq!(client.failed(), 4);
        assert_eq!(client.until_trial(100), (3, 5));
        assert_eq!(client.after(100), 8, "five are served");
        assert_eq!(client.failed(), 5);
        assert_eq!(client.until_trial(100), (3, 6));
        assert_eq!(client.failed(), 5);
        assert_eq!(client.until_trial(100), (5, 8));
    }

    #[test]
    fn after_failures_it_does_not_double_beyond_seven_tenths() {
        let mut client = rested();
        assert_eq!(client.failed(), 70);
        assert_eq!(client.after(100), 70);
        assert_eq!(client.0.before_failures, None);
        // Two bases lead to the goal by a last doubling.
        let mut client = rested();
        client.0.before_failures = Some(100);
        client.0.base = 35;
        client.0.rest(0);
        assert_eq!(client.after(100), 70);
        assert_eq!(client.0.before_failures, None);
    }

    #[test]
    fn failures_never_lower_it_below_its_least() {
        let mut client = Client::new(Adaptive::between(3, 10));
        let limits = [(); 5].map(|()| client.failed());
        assert_eq!(limits, [7, 4, 3, 3, 3]);
    }

    #[test]
    fn the_step_is_that_of_the_trial_or_of_the_next_one() {
        fn check(trials: &Trials, limit: f64, base: f64) {
            let step = (limit / base).ln().abs();
            assert!((trials.step() - step).abs() < 1e-9, "{trials:?}");
        }
        let mut trials = Trials::new(bounds());
        check(&trials, 200.0, 100.0);
        trials.set(20);
        check(&trials, 30.0, 20.0);
        trials.size = Size::Fine;
        check(&trials, 25.0, 20.0);
        trials.failed_ups = UPS_PER_DOWN;
        check(&trials, 13.0, 20.0);
        trials.failed_ups = UPS_PER_DOWN - 1;
        trials.bounds = Adaptive::between(1, 20);
        check(&trials, 13.0, 20.0);
        trials.bounds = Adaptive::between(20, 20);
        check(&trials, 20.0, 20.0);
        (trials.phase, trials.limit) = (Phase::Up, 28);
        check(&trials, 28.0, 20.0);
        (trials.phase, trials.limit) = (Phase::Down { above_floor: true }, 10);
        check(&trials, 10.0, 20.0);
    }

    #[test]
    fn the_largest_bounds_overflow_nothing() {
        let mut client = Client::new(Adaptive::between(usize::MAX - 1, usize::MAX));
        for millis in [100, 100, 200, 200, 100] {
            client.after(millis);
            client.failed();
        }
        client.set(usize::MAX);
        client.0.recover(usize::MAX);
        assert_eq!(client.0.limit(), usize::MAX);
        let exact = usize::MAX as u128 * 7 / 10;
        assert_eq!(seven_tenths(usize::MAX) as u128, exact);
    }

    #[test]
    fn a_limit_that_is_set_forgets_failures() {
        let mut client = rested();
        client.failed();
        assert!(client.0.before_failures.is_some());
        client.set(10);
        assert!(client.0.before_failures.is_none());
        assert_eq!(client.until_trial(100), (2, 15));
        client.set(0);
        assert_eq!(client.0.limit(), 1);
        client.set(5_000);
        assert_eq!(client.0.limit(), 1_000);
    }
}
