use std::sync::Arc;
use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Due, Moment, Sample};

use super::Snapshot;
use super::change::Change;
use super::tally::Tally;
use crate::clock::Clock;
use crate::error::LimitKind;
use crate::line::{Queue, Resource};

/// How many may be in flight, and how many are.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: Limit,
    tally: Arc<Tally>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each layer, in an allocation of its own"
)]
enum Limit {
    Fixed(usize),
    Learned(Learned),
}

#[derive(Debug)]
struct Learned {
    limit: AdaptiveLimit,
    clock: Clock,
    /// All permits of the present limit were taken at once.
    was_full: bool,
}

impl Learned {
    fn new(bounds: Adaptive) -> Self {
        Self {
            limit: AdaptiveLimit::new(bounds),
            clock: Clock::default(),
            was_full: false,
        }
    }

    fn depart(&mut self, taken: usize, queued: usize) -> Sample {
        let limit = self.limit.limit();
        self.was_full |= taken >= limit;
        // Answers that come together let as many depart one by one, of which only the last one
        // would find the limit reached: a cohort would take a round trip for each request. Until a
        // new limit was full once, that is right: those before had less beside them.
        let is_refilled = self.was_full && taken + queued >= limit;
        let in_flight = if is_refilled { limit.max(taken) } else { taken };
        self.limit.depart(self.clock.read().moment, in_flight)
    }

    fn end(&mut self, sample: Sample, answer: Option<Answer>) {
        let before = self.limit.limit();
        match answer {
            Some(answer) => {
                let now = self.clock.read().moment;
                self.limit.answer(sample, now, answer);
            }
            None => self.limit.cancel(sample),
        }
        self.was_full &= self.limit.limit() == before;
    }

    fn set(&mut self, limit: usize) {
        self.limit.set(limit);
        self.was_full = false;
    }
}

impl Permits {
    pub(super) fn fixed(limit: usize) -> Arc<Queue<Self>> {
        let limit = at_least_one(limit);
        Self::queue(Limit::Fixed(limit), Tally::fixed(limit))
    }

    pub(super) fn learned(bounds: Adaptive) -> Arc<Queue<Self>> {
        Self::queue(Limit::Learned(Learned::new(bounds)), Tally::learned())
    }

    fn queue(limit: Limit, tally: Arc<Tally>) -> Arc<Queue<Self>> {
        let front = Arc::clone(&tally);
        Queue::new(Self { limit, tally }, front)
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        match &mut self.limit {
            Limit::Fixed(fixed) => {
                *fixed = at_least_one(limit);
                self.tally.set_limit(limit);
            }
            Limit::Learned(learned) => learned.set(limit),
        }
    }

    /// A call departs with a permit, while so many others wait for one. Only a limit that learns
    /// wants to know.
    pub(super) fn depart(&mut self, queued: usize) -> Sample {
        let taken = self.tally.in_flight.taken() as usize;
        match &mut self.limit {
            Limit::Fixed(_) => Sample::default(),
            Limit::Learned(learned) => learned.depart(taken, queued),
        }
    }

    /// A call ended: it was answered, or nobody waits for the answer any more.
    pub(super) fn end(&mut self, sample: Sample, answer: Option<Answer>) -> Change {
        let before = self.limit();
        if let Limit::Learned(learned) = &mut self.limit {
            learned.end(sample, answer);
        }
        let after = self.limit();
        Change { before, after }
    }

    pub(super) fn take_back(&mut self) {
        self.tally.in_flight.give_back_held();
    }

    pub(super) fn snapshot(&self, queued: usize) -> Snapshot {
        self.tally.snapshot(self.limit(), queued)
    }

    fn limit(&self) -> usize {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Learned(learned) => learned.limit.limit(),
        }
    }
}

impl Resource for Permits {
    const LIMIT: LimitKind = LimitKind::Concurrency;

    const TIMED: bool = false;

    type Demand = ();

    type Claim = ();

    type Front = Arc<Tally>;

    fn due(&mut self, (): (), _: Moment) -> Due {
        if (self.tally.in_flight.taken() as usize) < self.limit() {
            Due::Now
        } else {
            Due::OnAnswer
        }
    }

    fn claim(&mut self, (): (), _: Moment) {
        self.tally.in_flight.take_held();
    }

    fn interval(&self, _: Moment) -> Duration {
        Duration::ZERO
    }
}

fn at_least_one(limit: usize) -> usize {
    assert!(limit > 0, "a concurrency of 0 lets nothing through");
    limit
}
