//! Packs operations into requests so that each person's operations keep their order.
//!
//! ```
//! use customerio::{Attributes, Operation, Outcome, Person, packer::Packer};
//! let mut packer = Packer::new(500);
//! for (row, id) in ["u1", "u2", "u1"].into_iter().enumerate() {
//!     packer.push(Operation::identify(&Person::id(id)?, &Attributes::new())?, row)?;
//! }
//! while let Some(packed) = packer.next_request() {
//!     let outcomes = vec![Outcome::Accepted; packed.request.len()]; // from `Client::send`
//!     let settled = packer.settle(packed.in_flight, outcomes);
//!     let rows: Vec<_> = settled.into_iter().map(|(row, _)| row).collect();
//!     assert_eq!(rows, [0, 2, 1]); // lane by lane
//! }
//! assert!(packer.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Packer`] does no I/O and reads no clock. Push each operation with a tag, such as a row number.
//! Each [`PackedRequest`] has a request to send and an [`InFlight`], which you settle with the
//! outcomes.
//!
//! Any number of requests may be in flight. No two of them hold operations of the same
//! [`Lane`]: a lane is closed until its operations in flight are settled. An operation that goes
//! alone gets a request of its own.
//!
//! A [`Dispatcher`] adds what a long-lived sender needs: requests that are sent again after a
//! failure, the pauses in an outage, and the search for an operation that makes the server fail.

mod dispatcher;
mod lane_hash;
mod lanes;
mod packed_request;
mod priority;
mod sending;
mod slab;

use std::collections::HashSet;
use std::{error, fmt};

pub use self::dispatcher::{Dispatcher, Outage, Settled};
use self::lanes::Lanes;
pub use self::packed_request::{InFlight, PackedRequest};
pub use self::priority::Priority;
pub use self::sending::Sending;
use self::slab::Key;
use crate::batch::MAX_BATCH;
use crate::{Batch, Cause, Lane, Operation, Outcome};

/// How many batches of operations are queued. With fewer, the next batch is half empty while many
/// lanes are in flight; more only cost memory.
const BATCHES_AHEAD: usize = 4;

/// How many bytes of operations are queued at most, plus one operation: 16 full batches.
const MAX_BYTES: usize = 16 * MAX_BATCH;

/// How many lanes may be stopped before no operation is accepted. It bounds the memory of a packer
/// whose operations all end unknown.
const MAX_STOPPED: usize = 100_000;

/// A queue of operations that forms requests.
///
/// An operation on two people, such as a merge, waits until it is first in both lanes, and closes
/// both while it is in flight.
///
/// # Unknown outcomes
///
/// A lane is stopped once one of its operations ends [`Outcome::Unknown`]. Its queued operations
/// are returned as not sent, and further ones are not queued. After 100,000 stopped lanes no
/// operation is queued for any lane, so that memory stays bounded.
#[derive(Debug)]
pub struct Packer<T> {
    lanes: Lanes<T>,
    stopped: HashSet<Lane>,
    /// Whether a lane stays stopped forever.
    stops_lanes: bool,
    max_items: usize,
    max_len: usize,
    max_bytes: usize,
    len: usize,
    bytes: usize,
    /// The number of the next operation.
    next_number: u64,
}

/// The position of a queued operation, by which it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    key: Key,
    /// Without it, a later operation with the same key would be meant.
    number: u64,
}

impl<T> Packer<T> {
    /// Creates an empty packer. A batch holds at most `max_items` operations (0 counts as 1) and
    /// 500,000 bytes.
    ///
    /// With `max_items` 1, each operation goes to `/api/v2/entity`.
    #[must_use]
    pub fn new(max_items: usize) -> Self {
        let max_items = max_items.max(1);
        Self {
            lanes: Lanes::new(),
            stopped: HashSet::new(),
            stops_lanes: true,
            max_items,
            max_len: max_items.saturating_mul(BATCHES_AHEAD),
            max_bytes: MAX_BYTES,
            len: 0,
            bytes: 0,
            next_number: 0,
        }
    }

    /// Removes the bounds on queued operations, for a caller that bounds them itself.
    #[must_use]
    pub fn unbounded(mut self) -> Self {
        (self.max_len, self.max_bytes) = (usize::MAX, usize::MAX);
        self
    }

    /// Lets a lane go on after an unknown outcome. The operations that are queued then are returned
    /// as not sent; those pushed later are sent.
    ///
    /// By default the lane stays stopped.
    #[must_use]
    pub fn resume_lanes(mut self) -> Self {
        self.stops_lanes = false;
        self
    }

    /// Queues an operation behind the earlier ones of its lane.
    ///
    /// # Errors
    ///
    /// The packer is full, or the lane is stopped. The error contains the operation and the tag.
    pub fn push(&mut self, operation: Operation, tag: T) -> Result<(), NotQueued<T>> {
        self.push_at(Priority::Normal, operation, tag).map(drop)
    }

    /// Queues an operation as [`push`](Self::push) does, with a priority.
    ///
    /// A lane has the highest priority of its operations since it was last empty. Of the lanes that
    /// are ready, those with a higher priority are packed first. The order within a lane stays.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn push_at(
        &mut self,
        priority: Priority,
        operation: Operation,
        tag: T,
    ) -> Result<Position, NotQueued<T>> {
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
        let number = self.next_number;
        self.next_number += 1;
        let key = self.lanes.push(operation, tag, priority, number);
        Ok(Position { key, number })
    }

    /// Removes a queued operation. Returns `None` if it is in flight or settled.
    pub fn remove(&mut self, position: Position) -> Option<(Operation, T)> {
        let (operation, tag) = self.lanes.remove(position.key, position.number)?;
        self.len -= 1;
        self.bytes -= operation.size();
        Some((operation, tag))
    }

    /// Returns the tag of a queued operation, or `None` if it is in flight or settled.
    #[must_use]
    pub fn get(&self, position: Position) -> Option<&T> {
        self.lanes.get(position.key, position.number)
    }

    /// Returns whether an operation may be sent now.
    pub fn has_next(&mut self) -> bool {
        self.lanes.has_next()
    }

    /// Returns whether the operations in open lanes fill a batch, by their number or their size.
    #[must_use]
    pub fn has_full_batch(&self) -> bool {
        let (len, bytes) = self.lanes.open();
        len >= self.max_items || bytes >= MAX_BATCH
    }

    /// Returns the next request, or `None` if each queued operation is behind one in flight.
    ///
    /// It packs the operations that are queued. For full batches, push until
    /// [`is_full`](Self::is_full) first.
    pub fn next_request(&mut self) -> Option<PackedRequest<T>> {
        let (lane, operation) = self.lanes.next()?;
        if self.max_items == 1 || operation.goes_alone() {
            return Some(self.single(lane));
        }
        Some(self.batch())
    }

    fn single(&mut self, lane: Lane) -> PackedRequest<T> {
        self.lanes.close_next();
        let (operation, tag) = self.take(lane);
        let in_flight = InFlight {
            members: vec![(lane, tag)],
            other_lane: operation.other_lane(),
        };
        PackedRequest {
            request: operation.into(),
            in_flight,
        }
    }

    /// Fills a batch from the lanes that are ready, as many operations of each lane as fit.
    fn batch(&mut self) -> PackedRequest<T> {
        let mut batch = Batch::with_capacity(self.max_items);
        let mut members = Vec::new();
        while let Some((lane, operation)) = self.lanes.next() {
            // Stop at the first that does not fit: going on with smaller ones could starve it.
            if !fits(operation, &batch) {
                break;
            }
            self.lanes.close_next();
            while self
                .lanes
                .first_operation(lane)
                .is_some_and(|operation| fits(operation, &batch))
            {
                let (operation, tag) = self.take(lane);
                batch.push(operation).expect("the operation fits");
                members.push((lane, tag));
            }
        }
        PackedRequest {
            request: batch.into(),
            in_flight: InFlight {
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

    /// Settles the operations in flight with their outcomes, in the order of the request, and opens
    /// their lanes.
    ///
    /// Returns tags with outcomes: first those of the request, in its order, then those of queued
    /// operations in lanes that this call stopped.
    ///
    /// # Panics
    ///
    /// The number of outcomes is not the number of operations.
    pub fn settle(&mut self, in_flight: InFlight<T>, outcomes: Vec<Outcome>) -> Vec<(T, Outcome)> {
        self.settle_except(in_flight, outcomes, &HashSet::new())
    }

    /// Settles operations, and leaves the lanes in `kept` closed.
    fn settle_except(
        &mut self,
        in_flight: InFlight<T>,
        outcomes: Vec<Outcome>,
        kept: &HashSet<Lane>,
    ) -> Vec<(T, Outcome)> {
        assert_eq!(
            in_flight.members.len(),
            outcomes.len(),
            "one outcome for each operation"
        );
        let mut settled = Vec::with_capacity(outcomes.len());
        // Lanes are opened after all outcomes are read: a later one may stop a lane.
        let mut lanes = Vec::new();
        let mut stopped = Vec::new();
        lanes.extend(in_flight.other_lane);
        for ((lane, tag), outcome) in in_flight.members.into_iter().zip(outcomes) {
            if outcome.is_unknown() {
                stopped.extend(in_flight.other_lane);
                stopped.push(lane);
            }
            // A request often has several operations of a lane, one after the other.
            if lanes.last() != Some(&lane) {
                lanes.push(lane);
            }
            settled.push((tag, outcome));
        }
        for lane in stopped {
            self.stop(lane, &mut settled);
        }
        for lane in lanes {
            if !kept.contains(&lane) {
                self.lanes.reopen(lane);
            }
        }
        settled
    }

    /// Settles the operations that have an outcome. `outcomes` has one entry for each operation, in
    /// the order of the request.
    ///
    /// Returns tags with outcomes as [`settle`](Self::settle) does, and a request of the operations
    /// that are left, to be sent again. A lane stays closed while one of its operations is left. If
    /// an operation ends unknown, the later ones of its lane are settled as not sent.
    ///
    /// # Panics
    ///
    /// The number of entries is not the number of operations.
    pub fn settle_part(
        &mut self,
        packed: PackedRequest<T>,
        outcomes: Vec<Option<Outcome>>,
    ) -> (Vec<(T, Outcome)>, Option<PackedRequest<T>>) {
        let PackedRequest {
            mut request,
            in_flight,
        } = packed;
        assert_eq!(
            in_flight.members.len(),
            outcomes.len(),
            "one entry for each operation"
        );
        let mut stopped = HashSet::new();
        let (mut done, mut left) = (in_flight.without_members(), in_flight.without_members());
        let mut settled = Vec::new();
        let mut is_left = Vec::with_capacity(outcomes.len());
        for ((lane, tag), outcome) in in_flight.members.into_iter().zip(outcomes) {
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
        let in_flight = left;
        (settled, Some(PackedRequest { request, in_flight }))
    }

    /// Settles the queued operations of a closed lane as not sent.
    fn stop(&mut self, lane: Lane, settled: &mut Vec<(T, Outcome)>) {
        if self.stops_lanes {
            self.stopped.insert(lane);
        }
        for (operation, tag) in self.lanes.drain(lane) {
            self.len -= 1;
            self.bytes -= operation.size();
            settled.push((tag, Outcome::NotSent(Cause::follows_unknown())));
        }
    }

    /// Returns whether no further operation is queued for the lane.
    fn is_stopped(&self, lane: Lane) -> bool {
        self.stopped.len() >= MAX_STOPPED || self.stopped.contains(&lane)
    }

    /// Returns the number of queued operations, without those in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no operation is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the packer accepts no operation: four batches of operations are queued, or
    /// 8,000,000 bytes. One without bounds is never full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len >= self.max_len || self.bytes >= self.max_bytes
    }
}

/// Returns whether an operation may be added to the batch.
fn fits(operation: &Operation, batch: &Batch) -> bool {
    !operation.goes_alone() && batch.has_room(operation.size())
}

/// The error of [`Packer::push`], with the operation that was not queued.
pub struct NotQueued<T> {
    operation: Operation,
    tag: T,
    reason: Reason,
}

#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Full,
    Stopped,
}

impl<T> NotQueued<T> {
    /// Returns whether the packer is full. Send a request and settle it, then push again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reason == Reason::Full
    }

    /// Returns whether the lane is stopped, because an earlier operation of it ended unknown.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.reason == Reason::Stopped
    }

    /// Returns the operation and its tag.
    #[must_use]
    pub fn into_parts(self) -> (Operation, T) {
        (self.operation, self.tag)
    }
}

impl<T> fmt::Display for NotQueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Full => "the packer is full; send a request and settle it first",
            Reason::Stopped => {
                "the outcome of an earlier operation on the same person is unknown; \
                 check that one first"
            }
        })
    }
}

impl<T> fmt::Debug for NotQueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotQueued({:?})", self.reason)
    }
}

impl<T> error::Error for NotQueued<T> {}
