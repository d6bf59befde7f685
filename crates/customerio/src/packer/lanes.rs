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

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;

use super::Priority;
use crate::{Lane, Operation};

/// A queue with fewer removed entries is left as it is: rebuilding it would cost more than it
/// frees.
const MIN_REMOVED: usize = 32;

/// The state of each lane that has an operation queued or in flight.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    states: HashMap<Lane, LaneState<T>>,
    /// For each priority, the open lanes whose first operation may be sent, the one that became
    /// ready first in front. A lane that is not ready at this priority anymore is skipped.
    ready: [VecDeque<Lane>; Priority::COUNT],
    /// The entries in open lanes, and the bytes of their operations.
    open_len: usize,
    open_bytes: usize,
}

#[derive(Debug)]
struct LaneState<T> {
    /// In the order of their numbers. The first entry is never a removed one.
    queue: VecDeque<Numbered<T>>,
    /// How many entries of the queue are removed ones.
    removed: usize,
    /// The bytes of the operations in the queue.
    bytes: usize,
    is_closed: bool,
    /// The highest priority of an entry since the lane was idle.
    priority: Priority,
    /// The priority at which the lane is in `ready`, if it is.
    ready_at: Option<Priority>,
}

#[derive(Debug)]
struct Numbered<T> {
    /// Increases within a lane. An operation on two lanes and its placeholder have the same one.
    number: u64,
    entry: Entry<T>,
}

#[derive(Debug)]
enum Entry<T> {
    /// The position of an operation on two lanes in its second lane. It is queued in the lane given
    /// here.
    Placeholder(Lane),
    /// In a box of its own: a queue that grows moves its entries, and leaves up to as much memory
    /// unused.
    Operation(Box<(Operation, T)>),
    /// An entry that was removed from the middle. It is dropped once it is first, so that no other
    /// entry has to move.
    Removed,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self {
            states: HashMap::new(),
            ready: [const { VecDeque::new() }; Priority::COUNT],
            open_len: 0,
            open_bytes: 0,
        }
    }

    /// Queues an operation in its lane, and a placeholder in its other lane. `number` is higher
    /// than each before.
    pub(super) fn push(&mut self, operation: Operation, tag: T, priority: Priority, number: u64) {
        let lane = operation.lane();
        // The placeholder comes first: whether the operation is ready depends on it.
        if let Some(other) = operation.other_lane() {
            self.enqueue(other, Entry::Placeholder(lane), priority, number);
        }
        if self.enqueue(
            lane,
            Entry::Operation(Box::new((operation, tag))),
            priority,
            number,
        ) {
            self.update_ready(lane);
        }
    }

    /// Queues an entry. Returns whether the lane was idle.
    fn enqueue(&mut self, lane: Lane, entry: Entry<T>, priority: Priority, number: u64) -> bool {
        let state = self.states.entry(lane).or_insert_with(LaneState::new);
        let was_idle = state.is_idle();
        let bytes = entry.bytes();
        state.bytes += bytes;
        if !state.is_closed {
            self.open_len += 1;
            self.open_bytes += bytes;
        }
        state.queue.push_back(Numbered { number, entry });
        if was_idle {
            state.priority = priority;
        } else if priority > state.priority {
            state.priority = priority;
            // The lane moves up at once; its old position is skipped.
            if state.ready_at.is_some() {
                state.ready_at = None;
                self.make_ready(lane);
            }
        }
        was_idle
    }

    /// Returns how many entries and bytes are queued in open lanes.
    pub(super) fn open(&self) -> (usize, usize) {
        (self.open_len, self.open_bytes)
    }

    /// Returns the lane that is ready next, with its first operation.
    pub(super) fn next(&mut self) -> Option<(Lane, &Operation)> {
        let lane = self.next_lane()?;
        let operation = self.first_operation(lane);
        Some((lane, operation.expect("a ready lane has an operation")))
    }

    /// Returns whether an operation may be sent now.
    pub(super) fn has_next(&mut self) -> bool {
        self.next_lane().is_some()
    }

    fn next_lane(&mut self) -> Option<Lane> {
        for priority in Priority::DESCENDING {
            while let Some(&lane) = self.ready[priority as usize].front() {
                let state = self.states.get(&lane);
                if state.is_some_and(|state| state.ready_at == Some(priority)) {
                    return Some(lane);
                }
                self.ready[priority as usize].pop_front();
            }
        }
        None
    }

    /// Returns the first operation of a lane, unless a placeholder is first.
    pub(super) fn first_operation(&self, lane: Lane) -> Option<&Operation> {
        self.states.get(&lane)?.first_operation()
    }

    /// Closes the lane that is ready next. Its operations may then be taken.
    pub(super) fn close_next(&mut self) {
        if let Some(lane) = self.next_lane() {
            let priority = self.state(lane).ready_at.take();
            let priority = priority.expect("the next lane is ready");
            // Without this, the position would count again once the lane is reopened.
            self.ready[priority as usize].pop_front();
            self.close(lane);
        }
    }

    fn close(&mut self, lane: Lane) {
        let state = self.state(lane);
        if !state.is_closed {
            state.is_closed = true;
            let (len, bytes) = (state.len(), state.bytes);
            self.open_len -= len;
            self.open_bytes -= bytes;
        }
    }

    /// Takes the first operation of a closed lane, and closes its other lane.
    pub(super) fn take(&mut self, lane: Lane) -> (Operation, T) {
        let Some(Entry::Operation(first)) = self.state(lane).pop_front() else {
            unreachable!("a lane is taken from only if an operation is first");
        };
        let (operation, tag) = *first;
        if let Some(other) = operation.other_lane() {
            self.close(other);
            self.state(other).pop_front();
        }
        (operation, tag)
    }

    /// Opens a closed lane. An open one is left as it is.
    pub(super) fn reopen(&mut self, lane: Lane) {
        // Closed => Open
        if let Some(state) = self.closed_state(lane) {
            state.is_closed = false;
            let (len, bytes) = (state.len(), state.bytes);
            self.open_len += len;
            self.open_bytes += bytes;
            self.remove_or_update_ready(lane);
        }
    }

    /// Removes the queued operations of a closed lane, also those with a placeholder in it. The
    /// lane stays closed.
    pub(super) fn drain(&mut self, lane: Lane) -> Vec<(Operation, T)> {
        let Some(state) = self.closed_state(lane) else {
            return Vec::new();
        };
        (state.removed, state.bytes) = (0, 0);
        let entries = mem::take(&mut state.queue);
        entries
            .into_iter()
            .filter_map(|entry| self.drain_other_lane(lane, entry))
            .collect()
    }

    /// Returns the operation of an entry that was drained from `lane`, and removes its counterpart
    /// from the other lane.
    fn drain_other_lane(&mut self, lane: Lane, entry: Numbered<T>) -> Option<(Operation, T)> {
        match entry.entry {
            Entry::Placeholder(owner) => self.remove_entry(owner, entry.number)?.into_operation(),
            Entry::Operation(own) => {
                let (operation, tag) = *own;
                if let Some(other) = operation.other_lane().filter(|other| *other != lane) {
                    self.remove_entry(other, entry.number);
                }
                Some((operation, tag))
            }
            Entry::Removed => None,
        }
    }

    /// Removes a queued operation, with its placeholder.
    pub(super) fn remove(&mut self, lane: Lane, number: u64) -> Option<(Operation, T)> {
        let (operation, tag) = self.remove_entry(lane, number)?.into_operation()?;
        if let Some(other) = operation.other_lane() {
            self.remove_entry(other, number);
        }
        Some((operation, tag))
    }

    /// Returns the tag of a queued operation.
    pub(super) fn get(&self, lane: Lane, number: u64) -> Option<&T> {
        let state = self.states.get(&lane)?;
        let index = state.position(number)?;
        match &state.queue[index].entry {
            Entry::Operation(own) => Some(&own.1),
            Entry::Placeholder(_) | Entry::Removed => None,
        }
    }

    /// Removes an entry of a lane. The next one may then be ready.
    fn remove_entry(&mut self, lane: Lane, number: u64) -> Option<Entry<T>> {
        let state = self.states.get_mut(&lane)?;
        let index = state.position(number)?;
        let entry = mem::replace(&mut state.queue[index].entry, Entry::Removed);
        if matches!(entry, Entry::Removed) {
            return None;
        }
        let bytes = entry.bytes();
        state.removed += 1;
        state.bytes -= bytes;
        let is_closed = state.is_closed;
        state.drop_removed();
        if !is_closed {
            self.open_len -= 1;
            self.open_bytes -= bytes;
            if index == 0 {
                self.remove_or_update_ready(lane);
            }
        }
        Some(entry)
    }

    /// Removes the state of an idle lane, so that memory is bounded by the operations.
    fn remove_or_update_ready(&mut self, lane: Lane) {
        if self.states[&lane].is_idle() {
            self.states.remove(&lane);
            self.shrink();
        } else {
            self.update_ready(lane);
        }
    }

    /// Releases memory once a table or a queue is nearly empty. Each call that shrinks follows as
    /// many removals as it moves entries.
    fn shrink(&mut self) {
        let len = self.states.len();
        if self.states.capacity() > 1_024 && len < self.states.capacity() / 8 {
            self.states.shrink_to(len * 2);
        }
    }

    /// Checks whether an operation became ready, or is no longer, by the change of an open lane:
    /// the first of this lane, or the one whose placeholder is first here.
    fn update_ready(&mut self, lane: Lane) {
        if !self.is_ready(lane) {
            self.state(lane).ready_at = None;
        }
        let candidate = match self.states[&lane].first() {
            Some(Entry::Placeholder(owner)) if self.states[owner].has_first_on(lane) => *owner,
            Some(Entry::Operation(..)) => lane,
            Some(Entry::Placeholder(_) | Entry::Removed) | None => return,
        };
        if self.is_ready(candidate) {
            self.make_ready(candidate);
        }
    }

    fn make_ready(&mut self, lane: Lane) {
        let state = self.state(lane);
        if state.ready_at.is_some() {
            return;
        }
        let priority = state.priority;
        state.ready_at = Some(priority);
        let lanes = self.states.len();
        let ready = &mut self.ready[priority as usize];
        ready.push_back(lane);
        // Lanes that moved up leave old positions behind. Without this, they would add up while
        // lanes of a higher priority are always ready.
        if ready.len() > 2 * lanes + MIN_REMOVED {
            let states = &self.states;
            let mut seen = HashSet::new();
            ready.retain(|lane| {
                let state = states.get(lane);
                state.is_some_and(|state| state.ready_at == Some(priority)) && seen.insert(*lane)
            });
            ready.shrink_to(2 * ready.len());
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
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            removed: 0,
            bytes: 0,
            is_closed: false,
            priority: Priority::Normal,
            ready_at: None,
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.is_closed
    }

    fn len(&self) -> usize {
        self.queue.len() - self.removed
    }

    fn first(&self) -> Option<&Entry<T>> {
        self.queue.front().map(|numbered| &numbered.entry)
    }

    fn first_operation(&self) -> Option<&Operation> {
        match self.first()? {
            Entry::Placeholder(_) | Entry::Removed => None,
            Entry::Operation(own) => Some(&own.0),
        }
    }

    fn pop_front(&mut self) -> Option<Entry<T>> {
        let entry = self.queue.pop_front()?.entry;
        self.bytes -= entry.bytes();
        self.drop_removed();
        Some(entry)
    }

    /// Returns the index of an entry by its number.
    fn position(&self, number: u64) -> Option<usize> {
        let search = self
            .queue
            .binary_search_by_key(&number, |entry| entry.number);
        search.ok()
    }

    /// Drops removed entries: those in front, and all once they are more than half.
    fn drop_removed(&mut self) {
        while let Some(Entry::Removed) = self.first() {
            self.queue.pop_front();
            self.removed -= 1;
        }
        if self.removed >= MIN_REMOVED && self.removed > self.queue.len() / 2 {
            self.queue
                .retain(|numbered| !matches!(numbered.entry, Entry::Removed));
            self.removed = 0;
        }
        // A lane that was long gives its memory back as it gets shorter.
        if self.queue.capacity() > 64 && self.queue.len() < self.queue.capacity() / 4 {
            self.queue.shrink_to(self.queue.len() * 2);
        }
    }

    fn has_first_placeholder_of(&self, owner: Lane) -> bool {
        matches!(self.first(), Some(Entry::Placeholder(lane)) if *lane == owner)
    }

    fn has_first_on(&self, other: Lane) -> bool {
        let operation = self.first_operation();
        operation.is_some_and(|operation| operation.other_lane() == Some(other))
    }
}

impl<T> Entry<T> {
    fn bytes(&self) -> usize {
        match self {
            Self::Operation(own) => own.0.size(),
            Self::Placeholder(_) | Self::Removed => 0,
        }
    }

    fn into_operation(self) -> Option<(Operation, T)> {
        match self {
            Self::Placeholder(_) | Self::Removed => None,
            Self::Operation(own) => Some(*own),
        }
    }
}
