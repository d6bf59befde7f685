use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Due, Moment, Sample};

use super::Snapshot;
use crate::clock::Clock;
use crate::line::Resource;

/// How many may be in flight, how many are, and how those before them ended.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: Limit,
    in_flight: usize,
    ended: Snapshot,
}

#[derive(Debug)]
enum Limit {
    Fixed(usize),
    Learned { limit: AdaptiveLimit, clock: Clock },
}

/// How a permit was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No call was made.
    Unused,
    /// The call was made, and its future dropped before it was complete.
    Cancelled,
    Answered,
    Failed,
}

impl Permits {
    pub(super) fn fixed(limit: usize) -> Self {
        Self::with(Limit::Fixed(at_least_one(limit)))
    }

    pub(super) fn learned(bounds: Adaptive) -> Self {
        Self::with(Limit::Learned {
            limit: AdaptiveLimit::new(bounds),
            clock: Clock::default(),
        })
    }

    fn with(limit: Limit) -> Self {
        Self {
            limit,
            in_flight: 0,
            ended: Snapshot::default(),
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        match &mut self.limit {
            Limit::Fixed(fixed) => *fixed = at_least_one(limit),
            Limit::Learned { limit: learned, .. } => learned.set(limit),
        }
    }

    /// A call departs with a permit. Only a limit that learns wants to know.
    pub(super) fn depart(&mut self) -> Option<Sample> {
        match &mut self.limit {
            Limit::Fixed(_) => None,
            Limit::Learned { limit, clock } => {
                Some(limit.depart(clock.read().moment, self.in_flight))
            }
        }
    }

    pub(super) fn answer(&mut self, sample: Sample, answer: Answer) {
        if let Limit::Learned { limit, clock } = &mut self.limit {
            limit.answer(sample, clock.read().moment, answer);
        }
    }

    /// Takes a permit back, with the sample of a call that was never answered.
    pub(super) fn take_back(&mut self, sample: Option<Sample>, end: End) {
        self.in_flight -= 1;
        if let (Limit::Learned { limit, .. }, Some(sample)) = (&mut self.limit, sample) {
            limit.cancel(sample);
        }
        match end {
            End::Unused => {}
            End::Cancelled => self.ended.cancelled += 1,
            End::Answered => self.ended.answered += 1,
            End::Failed => self.ended.failed += 1,
        }
    }

    pub(super) fn snapshot(&self, queued: usize) -> Snapshot {
        Snapshot {
            limit: self.limit(),
            in_flight: self.in_flight,
            queued,
            ..self.ended
        }
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

    /// Whether the limit learns from the answers.
    type Claim = bool;

    fn due(&mut self, (): (), _: Moment) -> Due {
        if self.in_flight < self.limit() {
            Due::Now
        } else {
            Due::OnAnswer
        }
    }

    fn claim(&mut self, (): (), _: Moment) -> bool {
        self.in_flight += 1;
        matches!(self.limit, Limit::Learned { .. })
    }

    fn interval(&self, _: Moment) -> Duration {
        Duration::ZERO
    }
}

fn at_least_one(limit: usize) -> usize {
    assert!(limit > 0, "a concurrency of 0 lets nothing through");
    limit
}
