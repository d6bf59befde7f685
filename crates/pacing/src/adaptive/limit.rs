use std::mem;

use super::Adaptive;
use super::round::{Latency, Round};
use crate::Moment;

/// How many requests may be in flight, learned from their answers; see the [module](super).
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

/// A request that has departed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            round: Round::of(0),
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
            Answer::Silent => {}
        }
    }

    /// Records that nobody waits for the answer any more: that says nothing of the server.
    pub fn cancel(&mut self, _: Sample) {
        self.awaited = self.awaited.saturating_sub(1);
    }

    fn serve(&mut self, sample: Sample, now: Moment) {
        if let Some(cut) = self.cut.as_mut().filter(|cut| !cut.seen) {
            cut.seen = true;
            self.round = Round::of(self.awaited);
        }
        self.round.add(now.since(sample.departed));
        if self.round.is_over() {
            let round = mem::replace(&mut self.round, Round::of(self.awaited));
            self.learn(round, now);
        }
    }

    fn learn(&mut self, round: Round, now: Moment) {
        let latency = round.latency();
        let minimum = *self.minimum.get_or_insert(latency.at_most());
        let (times, over) = Self::QUEUE;
        if latency.at_least() > minimum.saturating_mul(times) / over {
            self.drain(latency, minimum, now);
            return;
        }
        self.cut = None;
        self.minimum = Some(decayed(minimum, latency.at_most()));
        // What is in flight must come back: a server that is silent is no reason to send it more.
        if round.used && self.awaited <= 2 * round.answers() {
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
            self.lower(lower, now, Some(latency.mean));
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
