use std::sync::Arc;
use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Due, Moment, Sample};

use super::Snapshot;
use super::tally::Tally;
use crate::clock::Clock;
use crate::line::{Queue, Resource, Wake};

/// How many may be in flight, and how many are.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: Limit,
    tally: Arc<Tally>,
}

#[derive(Debug)]
enum Limit {
    Fixed(usize),
    Learned { limit: AdaptiveLimit, clock: Clock },
}

impl Permits {
    pub(super) fn fixed(limit: usize) -> Arc<Queue<Self>> {
        let limit = at_least_one(limit);
        Self::queue(Limit::Fixed(limit), Tally::fixed(limit))
    }

    pub(super) fn learned(bounds: Adaptive) -> Arc<Queue<Self>> {
        let limit = Limit::Learned {
            limit: AdaptiveLimit::new(bounds),
            clock: Clock::default(),
        };
        Self::queue(limit, Tally::learned())
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
            Limit::Learned { limit: learned, .. } => learned.set(limit),
        }
    }

    /// A call departs with a permit. Only a limit that learns wants to know.
    pub(super) fn depart(&mut self) -> Sample {
        match &mut self.limit {
            Limit::Fixed(_) => Sample::default(),
            Limit::Learned { limit, clock } => {
                let in_flight = self.tally.in_flight.taken();
                limit.depart(clock.read().moment, in_flight as usize)
            }
        }
    }

    /// A call was answered. A limit that grows has room for who waits, though no permit came back yet.
    pub(super) fn answer(&mut self, sample: Sample, answer: Answer) -> Wake {
        let before = self.limit();
        if let Limit::Learned { limit, clock } = &mut self.limit {
            limit.answer(sample, clock.read().moment, answer);
        }
        match self.limit() > before {
            true => Wake::IfAwaited,
            false => Wake::Nobody,
        }
    }

    /// A call was never answered.
    pub(super) fn cancel(&mut self, sample: Sample) {
        if let Limit::Learned { limit, .. } = &mut self.limit {
            limit.cancel(sample);
        }
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
            Limit::Learned { limit, .. } => limit.limit(),
        }
    }
}

impl Resource for Permits {
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
