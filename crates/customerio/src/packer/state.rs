use std::collections::HashSet;

use super::lanes::Lanes;
use super::refusal::Reason;
use super::{NotQueued, Parcel, Ticket};
use crate::{Batch, Cause, Lane, Operation, Outcome};

/// How many batches' worth of operations wait, so that lanes in flight do not leave the next batch
/// half empty.
const BATCHES_AHEAD: usize = 4;

/// How many bytes of operations wait at most, give or take one operation.
const MAX_BYTES: usize = 16 * 500_000;

/// How many lanes may end unknown before nothing more is taken.
const MAX_STOPPED: usize = 100_000;

/// Keeps operations waiting, and gives them out in requests.
///
/// An operation that names two people waits for both lanes and holds both while it is in flight.
///
/// A lane of which one operation ended [`Outcome::Unknown`] is stopped: what waits in it comes out
/// as not sent, and nothing more is taken for it. After 100,000 stopped lanes nothing more is taken
/// for any, so that memory stays bounded.
#[derive(Debug)]
pub struct Packer<T> {
    lanes: Lanes<T>,
    stopped: HashSet<Lane>,
    max_items: usize,
    len: usize,
    bytes: usize,
}

impl<T> Packer<T> {
    /// Returns an empty packer whose batches take at most `max_items` operations (0 counts as 1),
    /// and 500,000 bytes.
    ///
    /// With 1, every operation goes through `/api/v2/entity`.
    #[must_use]
    pub fn new(max_items: usize) -> Self {
        Self {
            lanes: Lanes::new(),
            stopped: HashSet::new(),
            max_items: max_items.max(1),
            len: 0,
            bytes: 0,
        }
    }

    /// Takes one operation, to be sent after the earlier ones of its lane.
    ///
    /// # Errors
    ///
    /// The packer is full, or the lane is stopped. The error hands operation and tag back.
    pub fn push(&mut self, operation: Operation, tag: T) -> Result<(), NotQueued<T>> {
        let (lane, other) = (operation.lane(), operation.other_lane());
        if self.is_stopped(lane) || other.is_some_and(|other| self.is_stopped(other)) {
            return Err(NotQueued {
                operation,
                tag,
                reason: Reason::Stopped,
            });
        }
        if self.is_full() {
            return Err(NotQueued {
                operation,
                tag,
                reason: Reason::Full,
            });
        }
        self.len += 1;
        self.bytes += operation.size();
        self.lanes.push(operation, tag);
        Ok(())
    }

    /// Returns the next request, or nothing if every waiting operation is behind one that is in
    /// flight.
    ///
    /// It takes what is there: to get full batches, push until [`is_full`](Self::is_full) first.
    pub fn next_parcel(&mut self) -> Option<Parcel<T>> {
        let (lane, operation) = self.lanes.next()?;
        if self.max_items == 1 || operation.goes_alone() {
            return Some(self.single(lane));
        }
        Some(self.batch())
    }

    fn single(&mut self, lane: Lane) -> Parcel<T> {
        self.lanes.close_next();
        let (operation, tag) = self.take(lane);
        let ticket = Ticket {
            members: vec![(lane, tag)],
            other_lane: operation.other_lane(),
        };
        Parcel {
            request: operation.into(),
            ticket,
        }
    }

    fn batch(&mut self) -> Parcel<T> {
        let mut batch = Batch::with_capacity(self.max_items);
        let mut members = Vec::new();
        while let Some((lane, operation)) = self.lanes.next() {
            if !fits(operation, &batch) {
                break;
            }
            self.lanes.close_next();
            while self
                .lanes
                .operation(lane)
                .is_some_and(|operation| fits(operation, &batch))
            {
                let (operation, tag) = self.take(lane);
                batch.push(operation).expect("it fits");
                members.push((lane, tag));
            }
        }
        Parcel {
            request: batch.into(),
            ticket: Ticket {
                members,
                other_lane: None,
            },
        }
    }

    fn take(&mut self, lane: Lane) -> (Operation, T) {
        let (operation, tag) = self.lanes.take(lane);
        self.len -= 1;
        self.bytes -= operation.size();
        (operation, tag)
    }

    /// Takes the outcomes of a parcel, one for each operation in the order of the request, and
    /// opens its lanes.
    ///
    /// Returns tags with outcomes: those of the parcel, in order, then those of operations that
    /// waited behind one that ended unknown.
    ///
    /// # Panics
    ///
    /// The number of outcomes is not the number of operations.
    pub fn settle(&mut self, ticket: Ticket<T>, outcomes: Vec<Outcome>) -> Vec<(T, Outcome)> {
        self.settle_except(ticket, outcomes, &HashSet::new())
    }

    /// Settles a ticket, and leaves closed the lanes that are `kept`.
    fn settle_except(
        &mut self,
        ticket: Ticket<T>,
        outcomes: Vec<Outcome>,
        kept: &HashSet<Lane>,
    ) -> Vec<(T, Outcome)> {
        assert_eq!(
            ticket.members.len(),
            outcomes.len(),
            "one outcome for each operation"
        );
        let mut settled = Vec::with_capacity(outcomes.len());
        let mut lanes = Vec::with_capacity(outcomes.len() + 1);
        lanes.extend(ticket.other_lane);
        for ((lane, tag), outcome) in ticket.members.into_iter().zip(outcomes) {
            if outcome.is_unknown() {
                self.stopped.insert(lane);
                self.stopped.extend(ticket.other_lane);
            }
            lanes.push(lane);
            settled.push((tag, outcome));
        }
        for lane in lanes {
            if !kept.contains(&lane) {
                self.open(lane, &mut settled);
            }
        }
        settled
    }

    /// Takes the outcomes of a parcel as far as there are any, one place for each operation in the
    /// order of the request.
    ///
    /// Returns tags with outcomes as [`settle`](Self::settle) does, and a parcel of the operations
    /// that are left, to be sent again. A lane stays closed while one of its operations is left.
    /// What is left of a lane that ended unknown comes out as not sent.
    ///
    /// # Panics
    ///
    /// The number of places is not the number of operations.
    pub fn settle_part(
        &mut self,
        parcel: Parcel<T>,
        outcomes: Vec<Option<Outcome>>,
    ) -> (Vec<(T, Outcome)>, Option<Parcel<T>>) {
        let Parcel {
            mut request,
            ticket,
        } = parcel;
        assert_eq!(
            ticket.members.len(),
            outcomes.len(),
            "one place for each operation"
        );
        let mut stopped = HashSet::new();
        let (mut done, mut left) = (ticket.emptied(), ticket.emptied());
        let mut settled = Vec::new();
        let mut is_left = Vec::with_capacity(outcomes.len());
        for ((lane, tag), outcome) in ticket.members.into_iter().zip(outcomes) {
            let withheld = || Outcome::NotSent(Cause::follows_unknown());
            let outcome = outcome.or_else(|| stopped.contains(&lane).then(withheld));
            is_left.push(outcome.is_none());
            let Some(outcome) = outcome else {
                left.members.push((lane, tag));
                continue;
            };
            if outcome.is_unknown() {
                stopped.insert(lane);
            }
            done.members.push((lane, tag));
            settled.push(outcome);
        }
        if left.members.is_empty() {
            return (self.settle(done, settled), None);
        }
        request.retain(|position| is_left[position]);
        let lanes = left.members.iter().map(|(lane, _)| *lane);
        let kept = lanes.chain(left.other_lane).collect();
        let settled = self.settle_except(done, settled, &kept);
        let ticket = left;
        (settled, Some(Parcel { request, ticket }))
    }

    /// Makes a lane ready again, or gives out what waited in it if it is stopped.
    fn open(&mut self, lane: Lane, settled: &mut Vec<(T, Outcome)>) {
        if !self.stopped.contains(&lane) {
            return self.lanes.open(lane);
        }
        for (operation, tag) in self.lanes.drain(lane) {
            self.len -= 1;
            self.bytes -= operation.size();
            settled.push((tag, Outcome::NotSent(Cause::follows_unknown())));
        }
    }

    /// Returns whether nothing more is taken for the lane.
    fn is_stopped(&self, lane: Lane) -> bool {
        self.stopped.len() >= MAX_STOPPED || self.stopped.contains(&lane)
    }

    /// Returns how many operations wait; those in flight are not among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no operation waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether no more is taken: four batches of operations wait, or 8,000,000 bytes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len >= self.max_items.saturating_mul(BATCHES_AHEAD) || self.bytes >= MAX_BYTES
    }
}

/// Returns whether an operation may join the batch.
fn fits(operation: &Operation, batch: &Batch) -> bool {
    !operation.goes_alone() && batch.has_room(operation.size())
}
