use std::collections::HashMap;

use customerio::packer::{PackedRequest, Packer};
use customerio::{Cause, Outcome, Request};

/// The line of a record. It identifies the record until it is settled.
pub(super) type Line = u64;

/// Records that are sent in one request, and again if it fails, until each has its outcome.
#[derive(Debug)]
pub(super) struct Chunk {
    packed: PackedRequest<Line>,
    /// The outcome of each record if nothing more is sent.
    outcomes: Vec<Outcome>,
    /// Why the last request failed, if it did.
    failure: Option<Cause>,
    failures: u32,
    /// The successful requests of the run when the chunk was made, or when it failed last.
    successes_seen: u64,
    /// Whether a request ended in 500 while others succeeded.
    is_suspect: bool,
}

/// The result of the outcomes of a request.
pub(super) struct Settled {
    pub(super) records: Vec<(Line, Outcome)>,
    /// The records to be sent again.
    pub(super) left: Option<Chunk>,
}

impl Chunk {
    /// Makes a chunk of a run in which `successes` requests have succeeded.
    pub(super) fn new(packed: PackedRequest<Line>, successes: u64) -> Self {
        let outcomes = vec![Outcome::NotSent(Cause::stopped()); packed.request.len()];
        Self {
            packed,
            outcomes,
            failure: None,
            failures: 0,
            successes_seen: successes,
            is_suspect: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.packed.request
    }

    /// Returns the number of records.
    pub(super) fn records(&self) -> u64 {
        self.outcomes.len() as u64
    }

    /// Returns how many records may have arrived with an earlier request.
    pub(super) fn may_have_arrived(&self) -> u64 {
        let unknown = self.outcomes.iter().filter(|outcome| outcome.is_unknown());
        unknown.count() as u64
    }

    /// Returns the number of failed requests.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether other requests have succeeded since the chunk was made or failed last.
    pub(super) fn others_have_succeeded(&self, successes: u64) -> bool {
        successes > self.successes_seen
    }

    /// Returns why the last request failed, if it did.
    pub(super) fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// Returns whether the last request ended in status 500.
    pub(super) fn ended_in_500(&self) -> bool {
        let status = self.failure.as_ref().and_then(Cause::status);
        status.is_some_and(|status| status.as_u16() == 500)
    }

    /// Settles the records with a final outcome. A record stays open if it may still be accepted
    /// and sending it again is safe.
    pub(super) fn settle(self, packer: &mut Packer<Line>, outcomes: Vec<Outcome>) -> Settled {
        let failure = outcomes.iter().find_map(transient).cloned();
        let may_replay = self.request().may_replay();
        let lines: Vec<_> = self.packed.in_flight.tags().copied().collect();
        let mut open = HashMap::new();
        let mut settled = Vec::with_capacity(lines.len());
        for ((line, before), outcome) in lines.into_iter().zip(self.outcomes).zip(outcomes) {
            let outcome = corrected(outcome, before.is_unknown());
            let is_open = is_open(&outcome, may_replay, failure.is_some());
            settled.push((!is_open).then(|| outcome.clone()));
            if is_open {
                open.insert(line, outcome);
            }
        }
        let (mut records, left) = packer.settle_part(self.packed, settled);
        // The packer settles an open record too, if an earlier one of its lane is unknown.
        for (line, outcome) in &mut records {
            if let Some(before) = open.remove(line) {
                *outcome = corrected(outcome.clone(), before.is_unknown());
            }
        }
        let left = left.map(|packed| {
            let lines = packed.in_flight.tags();
            let outcomes =
                lines.map(|line| open.remove(line).expect("a record that is left is open"));
            Self {
                outcomes: outcomes.collect(),
                packed,
                failure,
                failures: self.failures.saturating_add(1),
                successes_seen: self.successes_seen,
                is_suspect: self.is_suspect,
            }
        });
        Settled { records, left }
    }

    /// Settles all records with the outcomes that they have.
    pub(super) fn give_up(self, packer: &mut Packer<Line>) -> Vec<(Line, Outcome)> {
        packer.settle(self.packed.in_flight, self.outcomes)
    }

    /// Records the successes up to this failure: only later ones show that the server works.
    pub(super) fn record_failure(&mut self, successes: u64) {
        self.is_suspect |= self.ended_in_500() && self.others_have_succeeded(successes);
        self.successes_seen = successes;
    }

    /// Returns whether it is a single record that ended in 500 while others succeeded.
    pub(super) fn is_single_suspect(&self) -> bool {
        self.is_suspect && self.ended_in_500() && self.records() == 1
    }

    /// Splits the chunk in two, which may be in flight at once. There is no second one if all
    /// records are of one person.
    pub(super) fn split(self, successes: u64) -> (Self, Option<Self>) {
        let Self {
            packed,
            mut outcomes,
            failure,
            failures,
            is_suspect,
            ..
        } = self;
        let (first, second) = packed.split();
        // A half is a new chunk that has failed once; a chunk that cannot be split stays the same.
        let (failures, is_suspect) = match second {
            Some(_) => (1, false),
            None => (failures, is_suspect),
        };
        let rest = outcomes.split_off(first.request.len());
        let chunk = |packed, outcomes| Self {
            packed,
            outcomes,
            failure: failure.clone(),
            failures,
            successes_seen: successes,
            is_suspect,
        };
        let second = second.map(|second| chunk(second, rest));
        (chunk(first, outcomes), second)
    }
}

/// Returns whether another request may still have the record accepted, without any other effect.
fn is_open(outcome: &Outcome, may_replay: bool, has_failed: bool) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => false,
        Outcome::Unknown(_) if !may_replay => false,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            cause.is_transient() || (has_failed && cause.is_withheld())
        }
    }
}

/// Returns the cause of an outcome if it may pass.
fn transient(outcome: &Outcome) -> Option<&Cause> {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => None,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            Some(cause).filter(|cause| cause.is_transient())
        }
    }
}

/// Turns "not sent" into "unknown" if the record may have arrived with an earlier request.
fn corrected(outcome: Outcome, may_have_arrived: bool) -> Outcome {
    match outcome {
        Outcome::NotSent(cause) if may_have_arrived => Outcome::Unknown(cause),
        outcome => outcome,
    }
}
