use std::collections::HashSet;

use super::{PackedRequest, Packer};
use crate::{Cause, Outcome, Request};

/// Operations that are sent in one request, and again if it fails, until each has its outcome.
#[derive(Debug)]
#[must_use = "its lanes stay closed until it is settled"]
pub struct Sending<T> {
    packed: PackedRequest<T>,
    /// The outcome of each operation if nothing more is sent.
    outcomes: Vec<Outcome>,
    /// Why the last request failed, if it did.
    failure: Option<Cause>,
    failures: u32,
    /// The successful requests of the dispatcher when this was made, or when it failed last.
    successes_seen: u64,
    /// Whether a request ended in 500 while others succeeded.
    is_suspect: bool,
}

impl<T> Sending<T> {
    /// Creates the first request of a dispatcher for which `successes` requests have succeeded.
    pub(super) fn new(packed: PackedRequest<T>, successes: u64) -> Self {
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

    /// Returns the request to send.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.packed.request
    }

    /// Returns the tags of the operations, in the order of the request.
    #[must_use]
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &T> {
        self.packed.in_flight.tags()
    }

    /// Returns the number of operations.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Returns how many operations may have arrived with an earlier request.
    #[must_use]
    pub fn may_have_arrived(&self) -> usize {
        let unknown = self.outcomes.iter().filter(|outcome| outcome.is_unknown());
        unknown.count()
    }

    /// Returns the number of failed requests.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether other requests have succeeded since this was made or failed last.
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

    /// Settles the operations with a final outcome. An operation is left if it may still be
    /// accepted and sending it again is safe. `is_passing` returns whether a cause may pass.
    pub(super) fn settle(
        mut self,
        packer: &mut Packer<T>,
        outcomes: Vec<Outcome>,
        is_passing: impl Fn(&Cause) -> bool,
    ) -> (Vec<(T, Outcome)>, Option<Self>) {
        let failure = outcomes
            .iter()
            .filter_map(Outcome::cause)
            .find(|cause| is_passing(cause))
            .cloned();
        let may_replay = self.request().may_replay();
        let mut stopped = HashSet::new();
        let mut left_outcomes = Vec::new();
        let mut settled = Vec::with_capacity(outcomes.len());
        let members = self.packed.in_flight.members.iter();
        for (((lane, _), before), outcome) in members.zip(&self.outcomes).zip(outcomes) {
            let mut outcome = corrected(outcome, before.is_unknown());
            let mut is_left = match &outcome {
                Outcome::Accepted | Outcome::Rejected(_) => false,
                Outcome::Unknown(_) if !may_replay => false,
                Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
                    is_passing(cause) || (failure.is_some() && cause.is_withheld())
                }
            };
            if is_left && stopped.contains(lane) {
                let withheld = Outcome::NotSent(Cause::follows_unknown());
                outcome = corrected(withheld, outcome.is_unknown());
                is_left = false;
            }
            if is_left {
                left_outcomes.push(outcome);
                settled.push(None);
            } else {
                if outcome.is_unknown() {
                    stopped.insert(*lane);
                }
                settled.push(Some(outcome));
            }
        }
        let (settled, left) = packer.settle_part(self.packed, settled);
        let left = left.map(|packed| {
            self.failures = self.failures.saturating_add(1);
            Self {
                packed,
                outcomes: left_outcomes,
                failure,
                ..self
            }
        });
        (settled, left)
    }

    /// Settles the operations for which `cause` returns one, as not sent, or as unknown if they may
    /// have arrived with an earlier request.
    pub(super) fn withdraw(
        self,
        packer: &mut Packer<T>,
        mut cause: impl FnMut(&T) -> Option<Cause>,
    ) -> (Vec<(T, Outcome)>, Option<Self>) {
        let causes: Vec<_> = self.tags().map(&mut cause).collect();
        if causes.iter().all(Option::is_none) {
            return (Vec::new(), Some(self));
        }
        let mut left_outcomes = Vec::new();
        let mut stopped = HashSet::new();
        let mut settled = Vec::with_capacity(causes.len());
        let members = self.packed.in_flight.members.iter();
        for (((lane, _), before), cause) in members.zip(&self.outcomes).zip(causes) {
            let withheld = || stopped.contains(lane).then(Cause::follows_unknown);
            let Some(cause) = cause.or_else(withheld) else {
                left_outcomes.push(before.clone());
                settled.push(None);
                continue;
            };
            let outcome = corrected(Outcome::NotSent(cause), before.is_unknown());
            if outcome.is_unknown() {
                stopped.insert(*lane);
            }
            settled.push(Some(outcome));
        }
        let (settled, left) = packer.settle_part(self.packed, settled);
        let left = left.map(|packed| Self {
            packed,
            outcomes: left_outcomes,
            failure: self.failure,
            failures: self.failures,
            successes_seen: self.successes_seen,
            is_suspect: self.is_suspect,
        });
        (settled, left)
    }

    /// Settles all operations with the outcomes that they have.
    pub(super) fn give_up(self, packer: &mut Packer<T>) -> Vec<(T, Outcome)> {
        packer.settle(self.packed.in_flight, self.outcomes)
    }

    /// Records the successes up to this failure: only later ones show that the server works.
    pub(super) fn record_failure(&mut self, successes: u64) {
        self.is_suspect |= self.ended_in_500() && self.others_have_succeeded(successes);
        self.successes_seen = successes;
    }

    /// Returns whether it ended in 500 while others succeeded, and cannot be split: it is a single
    /// operation, or the operations of one lane, of which the first one failed.
    pub(super) fn is_single_suspect(&self) -> bool {
        self.is_suspect && self.ended_in_500() && self.packed.in_flight.middle().is_none()
    }

    /// Splits the request in two, which may be in flight at once. There is no second one if all
    /// operations are of one lane.
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
        // A half is a new request that has failed once; one that cannot be split stays the same.
        let (failures, is_suspect) = match second {
            Some(_) => (1, false),
            None => (failures, is_suspect),
        };
        let rest = outcomes.split_off(first.request.len());
        let half = |packed, outcomes| Self {
            packed,
            outcomes,
            failure: failure.clone(),
            failures,
            successes_seen: successes,
            is_suspect,
        };
        let second = second.map(|second| half(second, rest));
        (half(first, outcomes), second)
    }
}

/// Turns "not sent" into "unknown" if the operation may have arrived with an earlier request.
fn corrected(outcome: Outcome, may_have_arrived: bool) -> Outcome {
    match outcome {
        Outcome::NotSent(cause) if may_have_arrived => Outcome::Unknown(cause),
        outcome => outcome,
    }
}
