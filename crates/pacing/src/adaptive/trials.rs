use super::Adaptive;
use super::cohort::Finding;

/// Chooses the next limit from the findings of the cohorts.
///
/// The phases, and the finding that leads from one to the next:
///
/// ```text
/// Rest ─► Up      the base has rested, and no queue was found
/// Rest ─► Down    latency is above the floor, or three trials up have failed
/// Up   ─► Up      no queue: the trial is the new base
/// Up   ─► Rest    a queue, or failures: back to the base, or to where the queue begins
/// Down ─► Down    all of the difference was a queue: the trial is the new base
/// Down ─► Rest    a part of it was a queue, or none
/// any  ─► Rest    most of a cohort failed (`fail`), or the caller has set a limit (`set`)
/// ```
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
    /// its final value.
    size: Size,
    /// Trials up that failed since the last trial down.
    failed_ups: u32,
    /// How many cohorts the base rests after a trial that failed, beside the one that the next
    /// trial is compared with.
    pause: u32,
    /// The base before failures lowered it, until it has recovered.
    before_failures: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The limit is the base, for this cohort and `more` cohorts.
    Rest { more: u32 },
    /// The limit is above the base, to find whether latency follows.
    Up,
    /// The limit is below the base, to find whether latency follows. If the latency is above the
    /// floor because of our own queue, it must.
    Down { above_floor: bool },
}

/// The least share of its limit that the server must take without a queue for a trial up to be
/// kept. A tenth is the noise of a comparison: 0.8 keeps queues, and with 0.95 chance undoes right
/// decisions.
const ACCEPT: f64 = 0.9;

/// The least factor by which the base moves. A smaller difference is noise.
const GAIN: f64 = 1.1;

/// Leaves a queue of a twentieth, so that the server is busy while requests arrive unevenly.
const HEADROOM: f64 = 1.05;

/// A queue is ours if a trial down lowers the latency by this share of the full effect, which it
/// would have if all of the queue were ours (in logarithms). With zero, chance makes a queue of
/// every longer path, and the limit never recovers. With a half, two clients take each other's
/// queue for the path.
const OURS: f64 = 0.125;

/// The longest pause between trials, in cohorts. With twice as many, new capacity is found later;
/// with half as many, more time is spent in trials.
const MAX_PAUSE: u32 = 4;

/// The longest pause after trials that end in failures. They hurt the caller, so there are fewer.
const MAX_PAUSE_OF_FAILURES: u32 = 16;

/// How many trials up must fail before a trial down, which costs throughput.
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

    /// Returns the logarithm of the ratio of the limit to the one that it is compared with.
    pub(super) fn step(&self) -> f64 {
        let is_down_next = self.failed_ups >= UPS_PER_DOWN || self.base >= self.bounds.most();
        let other = match self.phase {
            Phase::Rest { .. } if is_down_next => self.limit_down(),
            Phase::Rest { .. } => self.limit_up(),
            Phase::Up | Phase::Down { .. } => self.limit,
        };
        (other as f64 / self.base as f64).ln().abs()
    }

    /// Sets the base to `limit`, or to the nearer bound.
    pub(super) fn set(&mut self, limit: usize) {
        self.size = self.size.after_start();
        self.before_failures = None;
        self.move_base(limit);
    }

    /// Chooses the next limit from the finding of a cohort at this one.
    pub(super) fn decide(&mut self, finding: &Finding) {
        match self.phase {
            Phase::Rest { more } => self.rested(finding, more),
            Phase::Up => self.tried_up(finding),
            Phase::Down { above_floor } => self.tried_down(finding, above_floor),
        }
    }

    /// Chooses the next limit after a cohort most of which failed.
    pub(super) fn fail(&mut self) {
        // Up => Rest: the limit of the trial is too high, and the base may be right.
        if self.phase == Phase::Up {
            return self.give_up(Size::Hard, MAX_PAUSE_OF_FAILURES);
        }
        // Rest | Down => Rest at a lower base: even the usual load is too much for the server. That
        // needs no trial. The base falls at once, and again by each cohort that fails.
        self.before_failures.get_or_insert(self.base);
        self.base = self.bounds.clamp(seven_tenths(self.limit));
        self.failed_ups = 0;
        self.pause = 1;
        self.rest(0);
    }

    fn rested(&mut self, finding: &Finding, more: u32) {
        // Rest => Rest at a higher base: the failures are over.
        if let Some(before) = self.before_failures {
            return self.recover(before);
        }
        self.base_mean = finding.mean;
        self.floor.observe(finding.mean);
        // Rest => Down: there is a queue, and a trial down shows whose.
        if self.floor.is_exceeded_by(finding.mean) {
            self.pause = 1;
            return self.try_down(true);
        }
        // Rest => Rest: the pause is not over.
        if more > 0 {
            self.phase = Phase::Rest { more: more - 1 };
            return;
        }
        // Rest => Down: several trials up have failed. The base may have a queue that the floor was
        // learned with.
        if self.failed_ups >= UPS_PER_DOWN {
            self.try_down(false);
        } else {
            // Rest => Up.
            self.try_up();
        }
    }

    /// Doubles the base by each cohort, up to seven tenths of its value before the failures.
    fn recover(&mut self, before: usize) {
        let goal = seven_tenths(before).max(self.base);
        let doubled = self.base.saturating_mul(2);
        if doubled >= goal {
            self.before_failures = None;
        }
        self.move_base(doubled.min(goal));
    }

    fn tried_up(&mut self, finding: &Finding) {
        // Up => Rest: failures and late requests took most of the time.
        if finding.is_mostly_lost {
            return self.give_up(Size::Hard, MAX_PAUSE_OF_FAILURES);
        }
        let limit = self.limit as f64;
        let knee = limit * self.base_mean / finding.mean;
        // Up => Up | Down: all or nearly all of it is served without a queue. Keep it, and try more
        // at once, unless latency is above the floor.
        if knee >= ACCEPT * limit {
            self.base = self.limit;
            self.base_mean = finding.mean;
            self.size = self.size.after_success();
            self.pause = 1;
            self.failed_ups = 0;
            return if self.floor.is_exceeded_by(finding.mean) {
                self.try_down(true)
            } else {
                self.try_up()
            };
        }
        let base = rounded(knee);
        if knee > GAIN * self.base as f64 && base > self.base {
            // Up => Rest at a higher base: a part of the step is served without a queue. The next
            // step from there is a small one.
            self.count_failed_up();
            self.size = Size::Fine;
            self.move_base(base);
        } else {
            // Up => Rest: nothing is gained.
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

    /// Counts a failed trial up. The start doubles the limit, so it may have kept a queue: after
    /// its first failure a trial down is next.
    fn count_failed_up(&mut self) {
        self.failed_ups = match self.is_starting() {
            true => UPS_PER_DOWN,
            false => self.failed_ups + 1,
        };
    }

    fn tried_down(&mut self, finding: &Finding, above_floor: bool) {
        self.floor.observe(finding.mean);
        let less = self.limit as f64 / self.base as f64;
        let ratio = finding.mean / self.base_mean;
        let headroom = if above_floor { 1.0 } else { HEADROOM };
        let knee = rounded(self.base as f64 * ratio * headroom);
        let is_ours = !above_floor || ratio.ln() / less.ln() >= OURS;
        // Down => Rest: less in flight is no faster. The path is longer, or the queue is another
        // client's.
        if knee >= self.base || !is_ours {
            self.floor.rise_to(finding.mean);
            return self.rest(self.pause);
        }
        self.size = self.size.after_start();
        // Down => Down: all of it was a queue. Stay, and try still less at once.
        if ratio <= less * GAIN {
            self.base = self.limit;
            self.base_mean = finding.mean;
            self.pause = 1;
            return self.try_down(above_floor);
        }
        // Down => Rest at a lower base: the queue begins between the two limits.
        self.move_base(knee.max(self.limit));
    }

    fn try_up(&mut self) {
        // The bound leaves no trial up.
        if self.base >= self.bounds.most() {
            return self.rest(1);
        }
        self.enter(Phase::Up, self.limit_up());
    }

    fn try_down(&mut self, above_floor: bool) {
        self.failed_ups = 0;
        // The bound leaves no trial down. The latency must be the floor then, or the limit would
        // never grow again.
        if self.base <= self.bounds.least() {
            self.floor.set(self.base_mean);
            return self.rest(1);
        }
        self.enter(Phase::Down { above_floor }, self.limit_down());
    }

    /// Moves the base to `limit`, or to the nearer bound. The queue of the old base settles during
    /// the first cohort, and the second is compared with.
    fn move_base(&mut self, limit: usize) {
        self.base = self.bounds.clamp(limit);
        self.pause = 1;
        self.rest(1);
    }

    /// Stays at the base for one cohort and `more` cohorts.
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

/// Returns seven tenths of a limit. The plain product would overflow for the largest bound.
fn seven_tenths(limit: usize) -> usize {
    limit / 10 * 7 + limit % 10 * 7 / 10
}

/// The factor of a trial. A smaller one needs more requests, by the square of the step; a larger
/// one does more harm.
const STEP: f64 = 1.5;

/// The factor of a trial up until the first one fails. With 1.5 the start takes twice as many round
/// trips.
const FIRST_STEP: f64 = 2.0;

/// The factor of every second trial after one that failed: a step of 1.5 jumps over a sharp knee.
const FINE_STEP: f64 = 1.25;

/// The least base for a fine step. A fine step from a smaller base adds three requests at most,
/// whose effect on latency is lost in noise.
const FINE_FROM: usize = 16;

/// The size of a trial up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    First,
    Usual,
    /// A small one, if its effect on latency can be measured.
    Fine,
    /// A small one, after failures: they can be seen without statistics.
    Hard,
}

impl Size {
    /// Returns the limit of a trial up, which is above `base`.
    fn up_from(self, base: usize) -> usize {
        let factor = match self {
            Self::First => FIRST_STEP,
            Self::Fine if base >= FINE_FROM => FINE_STEP,
            Self::Hard => FINE_STEP,
            Self::Fine | Self::Usual => STEP,
        };
        rounded(base as f64 * factor).max(base.saturating_add(1))
    }

    /// Returns the size of the trial after one that failed: small and usual ones alternate.
    fn after_failure(self, small: Self) -> Self {
        match self {
            Self::First | Self::Usual => small,
            Self::Fine | Self::Hard => Self::Usual,
        }
    }

    /// Returns the size of the trial after one that was kept.
    fn after_success(self) -> Self {
        match self {
            Self::First => Self::First,
            Self::Usual | Self::Fine | Self::Hard => Self::Usual,
        }
    }

    /// Returns the size of the next trial once the start is over.
    fn after_start(self) -> Self {
        match self {
            Self::First => Self::Usual,
            Self::Usual | Self::Fine | Self::Hard => self,
        }
    }
}

/// Returns the limit of a trial down, which is below `base`.
fn down_from(base: usize) -> usize {
    rounded(base as f64 / STEP).min(base.saturating_sub(1))
}

fn rounded(limit: f64) -> usize {
    limit.round() as usize
}

/// A mean above this multiple of the floor is a queue, of our requests or of others. With 1.25 it
/// is often chance; without a bound two clients raise each other to 17 times the latency.
const QUEUE: f64 = 1.4;

/// The part of the way that the floor rises to a mean that is not our queue. With a half it would
/// follow the queue of another client.
const RELEARN: f64 = 0.3;

/// The mean latency without a queue, as far as it was observed. No other measured latency is kept
/// from one trial to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Floor(Option<f64>);

impl Floor {
    /// Observes a mean. The floor goes halfway to a lower one, since one cohort can err.
    fn observe(&mut self, mean: f64) {
        let floor = self.0.unwrap_or(mean);
        self.0 = Some(floor - (floor - mean).max(0.0) / 2.0);
    }

    /// Observes a mean that fewer requests in flight did not lower: the path is longer, or other
    /// clients queue.
    fn rise_to(&mut self, mean: f64) {
        let floor = self.0.unwrap_or(mean);
        self.0 = Some(floor + (mean - floor).max(0.0) * RELEARN);
    }

    /// Replaces the floor by a mean that no lower limit could improve.
    fn set(&mut self, mean: f64) {
        self.0 = Some(mean);
    }

    /// Returns whether a mean shows a queue or a longer path.
    fn is_exceeded_by(&self, mean: f64) -> bool {
        self.0.is_some_and(|floor| mean > QUEUE * floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one finding after the other.
    struct Client(Trials);

    impl Client {
        fn new(bounds: Adaptive) -> Self {
            Self(Trials::new(bounds))
        }

        fn set(&mut self, limit: usize) {
            self.0.set(limit);
        }

        /// Reports a cohort with a mean of `millis`.
        fn after(&mut self, millis: u64) -> usize {
            self.finds(millis, false)
        }

        /// Reports a cohort most of which failed.
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

    /// In a trial down, after failed trials up.
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
    fn the_limit_doubles_until_a_trial_fails() {
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
    fn a_gain_of_a_tenth_is_noise() {
        let mut client = Client::new(bounds());
        client.set(10);
        assert_eq!(client.until_trial(110), (2, 15));
        assert_eq!(client.after(150), 10, "15 x 110 ms / 150 ms are 11");
    }

    #[test]
    fn a_trial_up_that_would_move_the_base_by_nothing_fails() {
        let mut client = Client::new(Adaptive::between(1, 10).starting_at(1));
        client.set(1);
        client.after(100);
        assert_eq!(client.after(100), 2);
        assert_eq!(client.after(160), 1, "1.25 are 1");
        assert_eq!(client.0.pause, 2, "which is no move");
    }

    #[test]
    fn pauses_between_failed_trials_grow() {
        at_67();
    }

    #[test]
    fn the_step_after_a_failed_trial_is_small() {
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
    fn a_trial_up_that_is_mostly_lost_fails() {
        let mut client = at_150();
        assert_eq!(client.finds(100, true), 100);
        assert_eq!(client.until_trial(100), (3, 125));
    }

    #[test]
    fn pauses_after_trials_with_failures_grow_the_most() {
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
    fn above_the_floor_a_trial_down_shows_whose_queue_it_is() {
        fn check(millis: u64, limit: usize, floor: f64) {
            let mut client = above_the_floor();
            assert_eq!(client.after(millis), limit, "{millis}");
            // A mean just below 1.4 floors is no queue, and one just above is.
            let mean = 1.4e6 * floor;
            let around = [mean - 1.0, mean + 1.0].map(|mean| client.0.floor.is_exceeded_by(mean));
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
    fn a_longer_path_is_learned_and_the_limit_grows_again() {
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
    fn at_the_lower_bound_the_latency_is_the_floor() {
        let mut client = Client::new(Adaptive::between(10, 100));
        client.set(10);
        client.after(100);
        assert_eq!(client.after(200), 10, "there is no less to try");
        assert_eq!(client.until_trial(200), (2, 15));
    }

    #[test]
    fn when_most_requests_fail_the_base_falls_at_once_and_doubles_afterwards() {
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
    fn a_small_limit_with_failures_above_it_is_found_in_steps_of_one() {
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
    fn after_failures_the_base_doubles_up_to_seven_tenths() {
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
    fn failures_never_lower_the_limit_below_its_bound() {
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
    fn the_largest_bounds_do_not_overflow() {
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
    fn setting_the_limit_forgets_failures() {
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

    #[test]
    fn every_step_changes_the_limit() {
        fn check(base: usize, down: usize, up: [usize; 4]) {
            let sizes = [Size::Hard, Size::Fine, Size::Usual, Size::First];
            let found = sizes.map(|size| size.up_from(base));
            assert_eq!((down_from(base), found), (down, up), "{base}");
        }
        check(1, 0, [2, 2, 2, 2]);
        check(2, 1, [3, 3, 3, 4]);
        check(3, 2, [4, 5, 5, 6]);
        check(4, 3, [5, 6, 6, 8]);
        check(15, 10, [19, 23, 23, 30]);
        check(16, 11, [20, 20, 24, 32]);
        check(100, 67, [125, 125, 150, 200]);
        let most = usize::MAX;
        check(most, down_from(most), [most; 4]);
        assert!(down_from(most) < most);
    }

    #[test]
    fn small_and_usual_steps_alternate_after_failures() {
        fn check(size: Size, failure: Size, success: Size, start: Size) {
            let after = [
                size.after_failure(Size::Hard),
                size.after_success(),
                size.after_start(),
            ];
            assert_eq!(after, [failure, success, start], "{size:?}");
        }
        check(Size::First, Size::Hard, Size::First, Size::Usual);
        check(Size::Usual, Size::Hard, Size::Usual, Size::Usual);
        check(Size::Fine, Size::Usual, Size::Usual, Size::Fine);
        check(Size::Hard, Size::Usual, Size::Usual, Size::Hard);
    }

    fn floor_at_100() -> Floor {
        let mut floor = Floor::default();
        floor.observe(100.0);
        floor
    }

    #[test]
    fn the_floor_goes_halfway_down_and_three_tenths_up() {
        fn check(change: fn(&mut Floor, f64), mean: f64, expected: f64) {
            let mut floor = floor_at_100();
            change(&mut floor, mean);
            assert_eq!(floor, Floor(Some(expected)), "{mean}");
        }
        check(Floor::observe, 80.0, 90.0);
        check(Floor::observe, 120.0, 100.0);
        check(Floor::rise_to, 80.0, 100.0);
        check(Floor::rise_to, 120.0, 106.0);
        check(Floor::set, 120.0, 120.0);
    }

    #[test]
    fn the_first_mean_is_the_floor() {
        assert_eq!(floor_at_100(), Floor(Some(100.0)));
        let mut floor = Floor::default();
        floor.rise_to(100.0);
        assert_eq!(floor, floor_at_100());
    }

    #[test]
    fn more_than_seven_fifths_of_the_floor_is_a_queue() {
        assert!(!floor_at_100().is_exceeded_by(140.0));
        assert!(floor_at_100().is_exceeded_by(140.1));
        assert!(
            !Floor::default().is_exceeded_by(140.1),
            "nothing was observed"
        );
    }
}
