use std::collections::HashMap;

use customerio::packer::{PackedRequest, Packer};
use customerio::{Cause, Outcome, Request};

use super::flights::Line;

/// Records that are sent together, and again if need be, until each has its outcome.
#[derive(Debug)]
pub(super) struct Part {
    packed: PackedRequest<Line>,
    /// What may be said of each record if nothing more is sent of it.
    last: Vec<Outcome>,
    failure: Option<Cause>,
    failures: u32,
    /// How many requests had succeeded when the part was made, or when it failed last.
    successes: u64,
    /// Whether it ended in 500 while others succeeded.
    is_suspect: bool,
}

/// How a request ended for the records of a part.
pub(super) struct Settled {
    pub(super) records: Vec<(Line, Outcome)>,
    /// What is to be sent again.
    pub(super) left: Option<Part>,
}

impl Part {
    pub(super) fn new(packed: PackedRequest<Line>, successes: u64) -> Self {
        let last = vec![Outcome::NotSent(Cause::stopped()); packed.request.len()];
        Self {
            packed,
            last,
            failure: None,
            failures: 0,
            successes,
            is_suspect: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.packed.request
    }

    pub(super) fn records(&self) -> u64 {
        self.last.len() as u64
    }

    /// Returns how many records an earlier request may have brought.
    pub(super) fn may_have_arrived(&self) -> u64 {
        self.last.iter().filter(|last| last.is_unknown()).count() as u64
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    /// Returns why its last request failed, if it did.
    pub(super) fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    pub(super) fn ended_in_500(&self) -> bool {
        let status = self.failure.as_ref().and_then(Cause::status);
        status.is_some_and(|status| status.as_u16() == 500)
    }

    /// Settles what the outcomes of a request settle: all but what may still be accepted, and is
    /// safe to send again.
    pub(super) fn settle(self, packer: &mut Packer<Line>, outcomes: Vec<Outcome>) -> Settled {
        let failure = outcomes.iter().find_map(transient).cloned();
        let may_replay = self.request().may_replay();
        let lines: Vec<_> = self.packed.in_flight.tags().copied().collect();
        let mut open = HashMap::new();
        let mut places = Vec::with_capacity(lines.len());
        for ((line, before), outcome) in lines.into_iter().zip(self.last).zip(outcomes) {
            let outcome = corrected(outcome, before.is_unknown());
            let is_open = is_open(&outcome, may_replay, failure.is_some());
            places.push((!is_open).then(|| outcome.clone()));
            if is_open {
                open.insert(line, outcome);
            }
        }
        let (mut records, left) = packer.settle_part(self.packed, places);
        // The packer settles an open record, too, if an earlier one of its lane ended unknown.
        for (line, outcome) in &mut records {
            if let Some(last) = open.remove(line) {
                *outcome = corrected(outcome.clone(), last.is_unknown());
            }
        }
        let left = left.map(|packed| {
            let lines = packed.in_flight.tags();
            let last = lines.map(|line| open.remove(line).expect("what is left is open"));
            Self {
                last: last.collect(),
                packed,
                failure,
                failures: self.failures.saturating_add(1),
                successes: self.successes,
                is_suspect: self.is_suspect,
            }
        });
        Settled { records, left }
    }

    /// Settles all that is left as it is.
    pub(super) fn give_up(self, packer: &mut Packer<Line>) -> Vec<(Line, Outcome)> {
        packer.settle(self.packed.in_flight, self.last)
    }

    /// Notes until when a success of others says nothing of this part.
    pub(super) fn note(&mut self, successes: u64) {
        self.is_suspect |= self.ended_in_500() && successes > self.successes;
        self.successes = successes;
    }

    /// Returns whether it is one record that ended in 500 while others succeeded.
    pub(super) fn is_suspect_alone(&self) -> bool {
        self.is_suspect && self.ended_in_500() && self.records() == 1
    }

    /// Splits in two, which may be in flight at once; into one if all records are of one person.
    pub(super) fn split(self, successes: u64) -> (Self, Option<Self>) {
        let Self {
            packed,
            mut last,
            failure,
            failures,
            is_suspect,
            ..
        } = self;
        let (first, second) = packed.split();
        // What cannot be split is what it was.
        let (failures, is_suspect) = match second {
            Some(_) => (1, false),
            None => (failures, is_suspect),
        };
        let rest = last.split_off(first.request.len());
        let part = |packed, last| Self {
            packed,
            last,
            failure: failure.clone(),
            failures,
            successes,
            is_suspect,
        };
        (part(first, last), second.map(|second| part(second, rest)))
    }
}

/// Returns whether a record may still be accepted by another request that changes nothing else.
fn is_open(outcome: &Outcome, may_replay: bool, has_failed: bool) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => false,
        Outcome::Unknown(_) if !may_replay => false,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            cause.is_transient() || (has_failed && cause.is_withheld())
        }
    }
}

fn transient(outcome: &Outcome) -> Option<&Cause> {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => None,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            Some(cause).filter(|cause| cause.is_transient())
        }
    }
}

/// Takes "not sent" back where an earlier request may have arrived.
fn corrected(outcome: Outcome, may_have_arrived: bool) -> Outcome {
    match outcome {
        Outcome::NotSent(cause) if may_have_arrived => Outcome::Unknown(cause),
        outcome => outcome,
    }
}
