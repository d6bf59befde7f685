//! The queues of all lanes, and the lanes whose first operation may be sent now.
//!
//! A lane is open or closed:
//!
//! - open: none of its operations is in flight. Its first one may be sent.
//! - closed: at least one of its operations is in flight. None may be sent until it is opened.
//!
//! An operation on two lanes, such as a merge, is queued in its own lane. A placeholder keeps its
//! position in the other lane. The operation may be sent once it is first in its lane, the
//! placeholder is first in the other, and both lanes are open; then both are closed.

use std::collections::{HashMap, VecDeque};
use std::mem;

use crate::{Lane, Operation};

/// The state of each lane that has an operation queued or in flight.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    states: HashMap<Lane, LaneState<T>>,
    /// The open lanes whose first operation may be sent, the one that became ready first in front.
    ready: VecDeque<Lane>,
}

#[derive(Debug)]
struct LaneState<T> {
    queue: VecDeque<Entry<T>>,
    is_closed: bool,
}

#[derive(Debug)]
enum Entry<T> {
    /// The position of an operation on two lanes in its second lane. It is queued in the lane given
    /// here.
    Placeholder(Lane),
    Operation(Operation, T),
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self {
            states: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Queues an operation in its lane, and a placeholder in its other lane.
    pub(super) fn push(&mut self, operation: Operation, tag: T) {
        let lane = operation.lane();
        // The placeholder comes first: whether the operation is ready depends on it.
        if let Some(other) = operation.other_lane() {
            self.enqueue(other, Entry::Placeholder(lane));
        }
        if self.enqueue(lane, Entry::Operation(operation, tag)) {
            self.update_ready(lane);
        }
    }

    /// Queues an entry. Returns whether the lane was idle.
    fn enqueue(&mut self, lane: Lane, entry: Entry<T>) -> bool {
        let state = self.states.entry(lane).or_insert_with(LaneState::new);
        let was_idle = state.is_idle();
        state.queue.push_back(entry);
        was_idle
    }

    /// Returns the lane that is ready next, with its first operation.
    pub(super) fn next(&self) -> Option<(Lane, &Operation)> {
        let lane = *self.ready.front()?;
        let operation = self.first_operation(lane);
        Some((lane, operation.expect("a ready lane has an operation")))
    }

    /// Returns the first operation of a lane, unless a placeholder is first.
    pub(super) fn first_operation(&self, lane: Lane) -> Option<&Operation> {
        self.states.get(&lane)?.first_operation()
    }

    /// Closes the lane that is ready next. Its operations may then be taken.
    pub(super) fn close_next(&mut self) {
        if let Some(lane) = self.ready.pop_front() {
            self.state(lane).is_closed = true;
        }
    }

    /// Takes the first operation of a closed lane, and closes its other lane.
    pub(super) fn take(&mut self, lane: Lane) -> (Operation, T) {
        let Some(Entry::Operation(operation, tag)) = self.state(lane).queue.pop_front() else {
            unreachable!("a lane is taken from only if an operation is first");
        };
        if let Some(other) = operation.other_lane() {
            let other = self.state(other);
            other.queue.pop_front();
            other.is_closed = true;
        }
        (operation, tag)
    }

    /// Opens a closed lane. An open one is left as it is.
    pub(super) fn open(&mut self, lane: Lane) {
        // Closed => Open
        if let Some(state) = self.closed_state(lane) {
            state.is_closed = false;
            self.remove_or_update_ready(lane);
        }
    }

    /// Opens a closed lane and removes its operations, also those with a placeholder in it.
    pub(super) fn drain(&mut self, lane: Lane) -> Vec<(Operation, T)> {
        let Some(state) = self.closed_state(lane) else {
            return Vec::new();
        };
        // Closed => Open, with an empty queue
        state.is_closed = false;
        let entries = mem::take(&mut state.queue);
        let drained = entries
            .into_iter()
            .filter_map(|entry| self.drain_other_lane(lane, entry))
            .collect();
        self.remove_or_update_ready(lane);
        drained
    }

    /// Returns the operation of an entry that was drained from `lane`, and removes its counterpart
    /// from the other lane.
    fn drain_other_lane(&mut self, lane: Lane, entry: Entry<T>) -> Option<(Operation, T)> {
        match entry {
            Entry::Placeholder(owner) => {
                let entry = self.remove_first(owner, |entry| entry.is_operation_on(lane))?;
                entry.into_operation()
            }
            Entry::Operation(operation, tag) => {
                if let Some(other) = operation.other_lane() {
                    self.remove_first(other, |entry| entry.is_placeholder_of(lane));
                }
                Some((operation, tag))
            }
        }
    }

    /// Removes the first entry of a lane that matches. The next one may then be ready.
    fn remove_first(
        &mut self,
        lane: Lane,
        matches: impl Fn(&Entry<T>) -> bool,
    ) -> Option<Entry<T>> {
        let state = self.states.get_mut(&lane)?;
        let index = state.queue.iter().position(matches)?;
        let entry = state.queue.remove(index);
        if index == 0 && !state.is_closed {
            self.remove_or_update_ready(lane);
        }
        entry
    }

    /// Removes the state of an idle lane, so that memory is bounded by the operations.
    fn remove_or_update_ready(&mut self, lane: Lane) {
        if self.states[&lane].is_idle() {
            self.states.remove(&lane);
        } else {
            self.update_ready(lane);
        }
    }

    /// Checks whether an operation became ready by the change of an open lane: the first of this
    /// lane, or the one whose placeholder is first here.
    fn update_ready(&mut self, lane: Lane) {
        let candidate = match self.states[&lane].queue.front() {
            Some(Entry::Placeholder(owner)) if self.states[owner].has_first_on(lane) => *owner,
            Some(Entry::Operation(..)) => lane,
            Some(Entry::Placeholder(_)) | None => return,
        };
        if self.is_ready(candidate) {
            self.ready.push_back(candidate);
        }
    }

    /// Returns whether the first entry of a lane is an operation, and each of its lanes is open and
    /// has it first.
    fn is_ready(&self, lane: Lane) -> bool {
        let state = &self.states[&lane];
        let Some(operation) = state.first_operation() else {
            return false;
        };
        let other = operation.other_lane().map(|other| &self.states[&other]);
        !state.is_closed
            && other.is_none_or(|other| !other.is_closed && other.has_first_placeholder_of(lane))
    }

    fn closed_state(&mut self, lane: Lane) -> Option<&mut LaneState<T>> {
        let state = self.states.get_mut(&lane);
        state.filter(|state| state.is_closed)
    }

    fn state(&mut self, lane: Lane) -> &mut LaneState<T> {
        let state = self.states.get_mut(&lane);
        state.expect("a lane with operations has a state")
    }
}

impl<T> LaneState<T> {
    const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            is_closed: false,
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.is_closed
    }

    fn first_operation(&self) -> Option<&Operation> {
        match self.queue.front()? {
            Entry::Placeholder(_) => None,
            Entry::Operation(operation, _) => Some(operation),
        }
    }

    fn has_first_placeholder_of(&self, owner: Lane) -> bool {
        let first = self.queue.front();
        first.is_some_and(|entry| entry.is_placeholder_of(owner))
    }

    fn has_first_on(&self, other: Lane) -> bool {
        let first = self.queue.front();
        first.is_some_and(|entry| entry.is_operation_on(other))
    }
}

impl<T> Entry<T> {
    /// Returns whether this is the placeholder of an operation that is queued in `owner`.
    fn is_placeholder_of(&self, owner: Lane) -> bool {
        matches!(self, Self::Placeholder(lane) if *lane == owner)
    }

    /// Returns whether this is an operation whose second lane is `other`.
    fn is_operation_on(&self, other: Lane) -> bool {
        matches!(self, Self::Operation(operation, _) if operation.other_lane() == Some(other))
    }

    fn into_operation(self) -> Option<(Operation, T)> {
        match self {
            Self::Placeholder(_) => None,
            Self::Operation(operation, tag) => Some((operation, tag)),
        }
    }
}
