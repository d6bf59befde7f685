use std::collections::{HashMap, HashSet, VecDeque};

use super::refusal::Reason;
use super::{NotQueued, Parcel, Ticket};
use crate::{Batch, Cause, Lane, Operation, Outcome};

/// How many batches' worth of operations wait, so that lanes in flight do not leave the next batch half empty.
const BATCHES_AHEAD: usize = 4;

/// How many bytes of operations wait at most, give or take one operation.
const MAX_BYTES: usize = 16 * 500_000;

/// How many lanes may end unknown before no lane is served any more.
const MAX_STOPPED: usize = 100_000;

/// Keeps operations waiting, and gives them out in requests.
///
/// A lane of which one operation ended [`Outcome::Unknown`] is stopped: what waits in it comes out as not sent, and
/// nothing more is taken for it. After 100,000 stopped lanes every lane counts as stopped, so that memory stays bounded.
#[derive(Debug)]
pub struct Packer<T> {
    lanes: HashMap<Lane, Waiting<T>>,
    /// Lanes that have something to give and nothing in flight, the one that waits longest first.
    ready: VecDeque<Lane>,
    stopped: HashSet<Lane>,
    max_items: usize,
    len: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(Operation, T)>,
    in_flight: bool,
}

impl<T> Packer<T> {
    /// Returns an empty packer whose batches take at most `max_items` operations (0 counts as 1), and 500,000 bytes.
    ///
    /// With 1, every operation goes through `/api/v2/entity`.
    #[must_use]
    pub fn new(max_items: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
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
        let lane = operation.lane();
        if self.is_stopped(lane) {
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
        let waiting = self.lanes.entry(lane).or_insert_with(Waiting::new);
        if waiting.is_idle() {
            self.ready.push_back(lane);
        }
        waiting.items.push_back((operation, tag));
        Ok(())
    }

    /// Returns the next request, or nothing if every waiting operation is behind one that is in flight.
    ///
    /// It takes what is there: to get full batches, push until [`is_full`](Self::is_full) first.
    pub fn next_parcel(&mut self) -> Option<Parcel<T>> {
        let first = *self.ready.front()?;
        if self.max_items == 1 || self.head(first).goes_alone() {
            return Some(self.single(first));
        }
        Some(self.batch())
    }

    fn single(&mut self, lane: Lane) -> Parcel<T> {
        self.ready.pop_front();
        let (operation, tag) = self.take(lane);
        Parcel {
            request: operation.into(),
            ticket: Ticket {
                members: vec![(lane, tag)],
            },
        }
    }

    fn batch(&mut self) -> Parcel<T> {
        let mut batch = Batch::with_capacity(self.max_items);
        let mut members = Vec::new();
        while let Some(&lane) = self.ready.front() {
            if !self.fits(lane, &batch) {
                break;
            }
            self.ready.pop_front();
            while self.fits(lane, &batch) {
                let (operation, tag) = self.take(lane);
                batch.push(operation).expect("it fits");
                members.push((lane, tag));
            }
        }
        Parcel {
            request: batch.into(),
            ticket: Ticket { members },
        }
    }

    /// Returns whether the lane's head may join the batch.
    fn fits(&self, lane: Lane, batch: &Batch) -> bool {
        let head = self.lanes[&lane].items.front();
        head.is_some_and(|(operation, _)| {
            !operation.goes_alone() && batch.has_room(operation.size())
        })
    }

    fn head(&self, lane: Lane) -> &Operation {
        &self.lanes[&lane]
            .items
            .front()
            .expect("a ready lane has a head")
            .0
    }

    fn take(&mut self, lane: Lane) -> (Operation, T) {
        let waiting = self.lanes.get_mut(&lane).expect("a ready lane exists");
        waiting.in_flight = true;
        let (operation, tag) = waiting.items.pop_front().expect("a ready lane has a head");
        self.len -= 1;
        self.bytes -= operation.size();
        (operation, tag)
    }

    /// Takes the outcomes of a parcel, one for each operation in the order of the request, and opens its lanes.
    ///
    /// Returns tags with outcomes: those of the parcel, in order, then those of operations that waited behind one that ended unknown.
    ///
    /// # Panics
    ///
    /// The number of outcomes is not the number of operations.
    pub fn settle(&mut self, ticket: Ticket<T>, outcomes: Vec<Outcome>) -> Vec<(T, Outcome)> {
        assert_eq!(
            ticket.members.len(),
            outcomes.len(),
            "one outcome for each operation"
        );
        let mut settled = Vec::with_capacity(outcomes.len());
        let mut lanes = Vec::with_capacity(outcomes.len());
        for ((lane, tag), outcome) in ticket.members.into_iter().zip(outcomes) {
            if outcome.is_unknown() {
                self.stopped.insert(lane);
            }
            lanes.push(lane);
            settled.push((tag, outcome));
        }
        for lane in lanes {
            self.open(lane, &mut settled);
        }
        settled
    }

    /// Makes a lane ready again, or forgets it. A lane that was opened already is left as it is.
    fn open(&mut self, lane: Lane, settled: &mut Vec<(T, Outcome)>) {
        let stopped = self.is_stopped(lane);
        let Some(waiting) = self
            .lanes
            .get_mut(&lane)
            .filter(|waiting| waiting.in_flight)
        else {
            return;
        };
        waiting.in_flight = false;
        if stopped {
            for (operation, tag) in waiting.items.drain(..) {
                self.len -= 1;
                self.bytes -= operation.size();
                settled.push((tag, Outcome::NotSent(Cause::follows_unknown())));
            }
        }
        if waiting.items.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.ready.push_back(lane);
        }
    }

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

impl<T> Waiting<T> {
    const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            in_flight: false,
        }
    }

    fn is_idle(&self) -> bool {
        self.items.is_empty() && !self.in_flight
    }
}
