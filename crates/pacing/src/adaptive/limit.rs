use std::mem;

use super::Adaptive;
use super::round::{Latency, Round};
use crate::Moment;

/// How many requests may be in flight, learned from their answers.
///
/// Answers are judged by the round, which is as many as were awaited at once. The limit grows by one a round while it is
/// reached, and by the whole round until the latency rises for the first time. A sign of overload lowers it by a tenth.
/// So does a queue, that is latency of more than six fifths of its minimum: to where the latency would be 95 % of the
/// minimum, so that what our requests have queued up drains and the minimum is seen again, but by three tenths at most.
/// If less in flight does not lower the latency, it is no queue of ours, and the minimum is learned anew; it also decays.
/// Answers to what departed before the limit was lowered are passed over.
///
/// ```
/// use std::time::Duration;
/// use pacing::{Adaptive, AdaptiveLimit, Answer, Moment};
///
/// let mut limit = AdaptiveLimit::new(Adaptive::between(1, 100));
/// let sample = limit.depart(Moment::ORIGIN, 1);
/// limit.answer(sample, Moment::ORIGIN + Duration::from_millis(5), Answer::Overloaded);
/// assert_eq!(limit.limit(), 9);
/// ```
///
/// Tell of every [`depart`](Self::depart) how it ended: exactly one of [`answer`](Self::answer) and
/// [`cancel`](Self::cancel).
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    bounds: Adaptive,
    limit: usize,
    /// How many have departed and have had no answer.
    awaited: usize,
    round: Round,
    /// No resistance was met yet: the limit is still far from where it will be.
    starting: bool,
    /// The latency without a queue, as far as it was seen; it decays.
    minimum: Option<u64>,
    cut: Option<Cut>,
}

/// A lowered limit whose effect is not seen yet.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Moment,
    /// The latency that it was lowered for.
    latency: Option<u64>,
    /// An answer to a request that departed after it has come.
    seen: bool,
}

/// A request that has departed. The default is one from the origin of time, for whoever does not learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "tell the limit how the request ended"]
pub struct Sample {
    departed: Moment,
}

/// What an answer says of the server's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was served: its latency tells.
    Served,
    /// It failed since the server has too much to do.
    Overloaded,
    /// It says nothing of the load.
    Silent,
}

impl AdaptiveLimit {
    /// Latency above six fifths of the minimum is a queue.
    const QUEUE: (u64, u64) = (6, 5);

    /// Returns a limit that has learned nothing yet.
    #[must_use]
    pub fn new(bounds: Adaptive) -> Self {
        Self {
            bounds,
            limit: bounds.initial(),
            awaited: 0,
            round: Round::beginning(Moment::ORIGIN, 0),
            starting: true,
            minimum: None,
            cut: None,
        }
    }

    /// Returns how many requests may be in flight.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Goes on from `limit`, or from the nearer bound.
    pub fn set(&mut self, limit: usize) {
        self.limit = self.bounds.clamp(limit);
    }

    /// Records that a request departs at `now`, after which `in_flight` are.
    pub fn depart(&mut self, now: Moment, in_flight: usize) -> Sample {
        self.awaited += 1;
        self.round.depart(self.awaited);
        self.round.used |= in_flight >= self.limit;
        Sample { departed: now }
    }

    /// Records an answer that came at `now`.
    pub fn answer(&mut self, sample: Sample, now: Moment, answer: Answer) {
        self.cancel(sample);
        // What departed before the limit was lowered knows nothing of that.
        if self.cut.is_some_and(|cut| sample.departed < cut.at) {
            return;
        }
        match answer {
            Answer::Served => self.serve(sample, now),
            Answer::Overloaded => self.lower(self.limit * 9 / 10, now, None),
            Answer::Silent => self.round.returns(now.since(sample.departed)),
        }
    }

    /// Records that nobody waits for the answer any more: that says nothing of the server.
    pub fn cancel(&mut self, _: Sample) {
        self.awaited = self.awaited.saturating_sub(1);
    }

    fn serve(&mut self, sample: Sample, now: Moment) {
        if let Some(cut) = self.cut.as_mut().filter(|cut| !cut.seen) {
            cut.seen = true;
            self.round = Round::beginning(now, self.awaited);
        }
        self.round.add(now.since(sample.departed));
        if self.round.is_over() {
            let round = mem::replace(&mut self.round, Round::beginning(now, self.awaited));
            self.learn(round, now);
        }
    }

    fn learn(&mut self, round: Round, now: Moment) {
        let latency = round.latency();
        let minimum = *self.minimum.get_or_insert_with(|| latency.at_most());
        let (times, over) = Self::QUEUE;
        if latency.at_least() > minimum.saturating_mul(times) / over {
            self.drain(latency, minimum, now);
            return;
        }
        self.cut = None;
        self.minimum = Some(decayed(minimum, latency.at_most()));
        // A twentieth more is no queue to drain, but the limit is not far from one.
        self.starting &= latency.at_least() <= minimum + minimum / 20;
        if round.used && round.comes_back(now) {
            let step = if self.starting { round.answers() } else { 1 };
            self.set(self.limit + step);
        }
    }

    /// Lowers the limit so that a queue of our own drains, or learns that it is not our own.
    fn drain(&mut self, latency: Latency, minimum: u64, now: Moment) {
        let before = self.cut.and_then(|cut| cut.latency);
        let has_helped = before.is_none_or(|before| latency.mean < before - before / 20);
        let lower = below_the_queue(self.limit, minimum, latency.mean);
        if has_helped && self.bounds.clamp(lower) < self.limit {
            // Before the first cut the queue was still growing, so that its latency does not compare.
            self.lower(lower, now, self.cut.map(|_| latency.mean));
        } else {
            self.minimum = Some(latency.at_most());
            self.cut = None;
        }
    }

    fn lower(&mut self, limit: usize, now: Moment, latency: Option<u64>) {
        self.set(limit);
        self.starting = false;
        self.cut = Some(Cut {
            at: now,
            latency,
            seen: false,
        });
    }
}

/// A smaller latency at once, a sixty-fourth of the way to a larger one.
fn decayed(minimum: u64, latency: u64) -> u64 {
    latency.min(minimum + latency.saturating_sub(minimum) / 64)
}

/// The limit with which the latency was at its minimum, if latency grows as the limit does, and a twentieth below; but no
/// less than seven tenths, since one round can err.
fn below_the_queue(limit: usize, minimum: u64, latency: u64) -> usize {
    let share = u128::from(minimum) * 95 / u128::from(latency.max(1));
    let percent = usize::try_from(share).unwrap_or(100).clamp(70, 100);
    limit * percent / 100
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A limit, and the time.
    struct Rounds {
        limit: AdaptiveLimit,
        now: Moment,
    }

    impl Rounds {
        fn new(bounds: Adaptive) -> Self {
            Self {
                limit: AdaptiveLimit::new(bounds),
                now: Moment::ORIGIN,
            }
        }

        /// As many requests as may be in flight depart, and are answered after `millis`.
        fn answered_after(&mut self, millis: u64) -> usize {
            let full = self.limit.limit();
            self.of(full, full, millis)
        }

        /// So many requests depart, and `answered` of them are answered after `millis`.
        fn of(&mut self, departed: usize, answered: usize, millis: u64) -> usize {
            let samples: Vec<_> = (1..=departed)
                .map(|in_flight| self.limit.depart(self.now, in_flight))
                .collect();
            self.now = self.now + Duration::from_millis(millis);
            for (n, sample) in samples.into_iter().enumerate() {
                match n < answered {
                    true => self.limit.answer(sample, self.now, Answer::Served),
                    false => self.limit.cancel(sample),
                }
            }
            self.limit.limit()
        }

        /// A request departs and is answered at once.
        fn told(&mut self, answer: Answer) -> usize {
            let sample = self.limit.depart(self.now, 1);
            self.limit.answer(sample, self.now, answer);
            self.limit.limit()
        }
    }

    fn rounds() -> Rounds {
        Rounds::new(Adaptive::between(1, 100))
    }

    /// Ten in flight take 100 ms, and the start is over.
    fn settled() -> Rounds {
        let mut rounds = rounds();
        rounds.answered_after(100);
        assert_eq!(
            rounds.answered_after(106),
            21,
            "one more, since the latency rose"
        );
        rounds.limit.set(10);
        rounds
    }

    #[test]
    fn it_doubles_until_the_latency_rises_and_then_grows_by_one() {
        let mut rounds = rounds();
        assert_eq!(rounds.answered_after(100), 20);
        assert_eq!(rounds.answered_after(105), 40, "a twentieth is no rise");
        assert_eq!(rounds.answered_after(106), 41);
        assert_eq!(rounds.answered_after(100), 42);
    }

    #[test]
    fn it_grows_to_its_bound_and_no_further() {
        let mut rounds = Rounds::new(Adaptive::between(1, 15));
        assert_eq!(rounds.answered_after(100), 15);
        assert_eq!(rounds.answered_after(100), 15);
    }

    #[test]
    fn it_does_not_grow_while_it_is_not_used() {
        let mut rounds = rounds();
        assert_eq!(rounds.of(9, 9, 100), 10);
        assert_eq!(rounds.of(10, 10, 100), 20);
    }

    #[test]
    fn a_queue_is_drained_to_a_little_below_where_it_began() {
        let mut rounds = settled();
        assert_eq!(rounds.answered_after(120), 11, "six fifths are no queue");
        // 11 x 95 % x 100 ms / 125 ms, by whole percents.
        assert_eq!(rounds.answered_after(125), 8);
        assert_eq!(rounds.answered_after(100), 8, "the effect is awaited");
        assert_eq!(rounds.answered_after(100), 9);
    }

    #[test]
    fn six_fifths_of_the_minimum_are_no_queue_and_more_is_one() {
        fn check(millis: u64, expected: usize) {
            let mut rounds = rounds();
            rounds.answered_after(100);
            assert_eq!(rounds.answered_after(millis), expected, "{millis}");
        }
        check(120, 21);
        check(121, 15);
    }

    #[test]
    fn one_round_lowers_it_by_three_tenths_at_most() {
        assert_eq!(settled().answered_after(1_000), 7);
    }

    #[test]
    fn latency_that_less_in_flight_does_not_lower_is_learned_anew() {
        let mut rounds = settled();
        assert_eq!(rounds.answered_after(200), 7);
        assert_eq!(rounds.answered_after(200), 4);
        assert_eq!(rounds.answered_after(190), 4, "a twentieth is no help");
        assert_eq!(
            rounds.answered_after(190),
            5,
            "it is the way that is longer"
        );
    }

    #[test]
    fn latency_that_less_in_flight_lowers_is_drained_further() {
        let mut rounds = settled();
        assert_eq!(rounds.answered_after(300), 7);
        assert_eq!(rounds.answered_after(300), 4);
        assert_eq!(rounds.answered_after(200), 2);
    }

    #[test]
    fn at_its_least_it_learns_the_latency_that_there_is() {
        let mut rounds = Rounds::new(Adaptive::between(10, 100));
        rounds.answered_after(100);
        rounds.limit.set(10);
        assert_eq!(rounds.answered_after(200), 10);
        assert_eq!(rounds.answered_after(200), 20);
    }

    #[test]
    fn a_minimum_that_is_not_seen_any_more_decays() {
        let mut rounds = settled();
        for _ in 0..100 {
            rounds.answered_after(115);
            rounds.limit.set(10);
        }
        assert_eq!(
            rounds.answered_after(130),
            11,
            "less than six fifths of 112 ms"
        );
    }

    #[test]
    fn overload_lowers_it_by_a_tenth_once_for_what_was_in_flight() {
        let mut rounds = rounds();
        let samples = [(); 3].map(|()| rounds.limit.depart(rounds.now, 1));
        rounds.now = rounds.now + Duration::from_millis(1);
        for sample in samples {
            rounds.limit.answer(sample, rounds.now, Answer::Overloaded);
        }
        assert_eq!(rounds.limit.limit(), 9);
        assert_eq!(rounds.told(Answer::Overloaded), 8);
        assert_eq!(rounds.answered_after(100), 8, "the effect is awaited");
        assert_eq!(rounds.answered_after(100), 9, "the start is over");
    }

    #[test]
    fn overload_never_lowers_it_below_its_least() {
        let mut rounds = rounds();
        for least in [9, 8, 7, 6, 5, 4, 3, 2, 1, 1] {
            assert_eq!(rounds.told(Answer::Overloaded), least);
        }
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut rounds = rounds();
        for _ in 0..20 {
            assert_eq!(rounds.told(Answer::Silent), 10);
        }
        assert_eq!(
            rounds.answered_after(100),
            20,
            "and leaves no request awaited"
        );
    }

    #[test]
    fn cancelled_calls_count_for_nothing() {
        let mut rounds = rounds();
        for _ in 0..100 {
            assert_eq!(rounds.of(10, 0, 100), 10);
        }
        assert_eq!(rounds.of(10, 3, 100), 10, "three of ten say little");
    }

    #[test]
    fn it_does_not_grow_while_less_than_half_comes_back() {
        let mut rounds = settled();
        let silent: Vec<_> = (0..6).map(|_| rounds.limit.depart(rounds.now, 1)).collect();
        // Ten answers of the other four at a time: two round trips and a half.
        for _ in 0..3 {
            rounds.of(4, 4, 100);
        }
        assert_eq!(rounds.limit.limit(), 10);
        silent
            .into_iter()
            .for_each(|sample| rounds.limit.cancel(sample));
        rounds.answered_after(100);
        assert!(rounds.answered_after(100) > 10);
    }
}
