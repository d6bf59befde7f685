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
//!
//! # Memory
//!
//! The entries of all lanes are in one slab; those of a lane are linked in both directions. Many
//! lanes with few operations are common, and a buffer for each would be cold whenever it is used.
//! An operation that is enqueued reads and writes the state of its lane and one new entry.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Priority;
use super::lane_hash::LaneHash;
use super::slab::{Key, Slab};
use crate::{Lane, Operation};

/// How many skipped lanes are left in `ready` without counting: removing them would cost more than
/// it frees.
const MIN_SKIPPED: usize = 32;

/// The state of each lane that has an operation queued or in flight.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    states: HashMap<Lane, LaneState, LaneHash>,
    entries: Slab<Entry<T>>,
    /// For each priority, the open lanes whose first operation may be sent, the one that became
    /// ready first in front. A lane that is not ready at this priority anymore is skipped.
    ready: [VecDeque<Lane>; Priority::COUNT],
    /// The entries in open lanes, and the bytes of their operations.
    open_len: usize,
    open_bytes: usize,
}

/// With its lane, half a line of a cache. Each operation looks it up several times.
#[derive(Debug)]
struct LaneState {
    first: Option<Key>,
    last: Option<Key>,
    len: u32,
    /// Whether one of its operations is in flight.
    is_closed: bool,
    /// The highest priority of an entry since the lane was idle.
    priority: Priority,
    /// The priority at which the lane is in `ready`, if it is.
    ready_at: Option<Priority>,
    /// The bytes of the operations in the queue.
    bytes: usize,
}

/// An operation in its lane, or its placeholder in the other lane.
#[derive(Debug)]
struct Entry<T> {
    /// Higher than that of each operation before. It shows whether a key is still of this entry.
    number: u64,
    previous: Option<Key>,
    /// The next entry of the lane, once it is needed; see [`Lanes::link`].
    next: Option<Key>,
    /// The placeholder of an operation on two lanes, or the operation of a placeholder.
    counterpart: Option<Key>,
    /// None in a placeholder.
    operation: Option<(Operation, T)>,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self {
            states: HashMap::with_hasher(LaneHash::new()),
            entries: Slab::new(),
            ready: [const { VecDeque::new() }; Priority::COUNT],
            open_len: 0,
            open_bytes: 0,
        }
    }

    /// Queues an operation in its lane, and a placeholder in its other lane. `number` is higher
    /// than each before.
    pub(super) fn push(
        &mut self,
        operation: Operation,
        tag: T,
        priority: Priority,
        number: u64,
    ) -> Key {
        let lane = operation.lane();
        // Two people may have the same lane. Their merge then has one position.
        let other = operation.other_lane().filter(|other| *other != lane);
        // The placeholder comes first: whether the operation is ready depends on it.
        let placeholder = other.map(|other| {
            let placeholder = Entry::new(number, None, None);
            self.enqueue(other, placeholder, priority)
        });
        let entry = Entry::new(number, Some((operation, tag)), placeholder);
        let key = self.enqueue(lane, entry, priority);
        if let Some(placeholder) = placeholder {
            self.entries[placeholder].counterpart = Some(key);
        }
        if self.states[&lane].first == Some(key) {
            self.update_ready(lane);
        }
        key
    }

    /// Queues an entry.
    fn enqueue(&mut self, lane: Lane, mut entry: Entry<T>, priority: Priority) -> Key {
        let state = self.states.entry(lane).or_insert_with(LaneState::new);
        let bytes = entry.bytes();
        state.len += 1;
        state.bytes += bytes;
        if !state.is_closed {
            self.open_len += 1;
            self.open_bytes += bytes;
        }
        let was_idle = state.is_idle();
        entry.previous = state.last;
        let key = self.entries.insert(entry);
        state.first = state.first.or(Some(key));
        state.last = Some(key);
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
        key
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
        self.entries[self.states.get(&lane)?.first?].operation()
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
            let (len, bytes) = (state.len as usize, state.bytes);
            self.open_len -= len;
            self.open_bytes -= bytes;
        }
    }

    /// Takes the first operation of a closed lane, and closes its other lane.
    pub(super) fn take(&mut self, lane: Lane) -> (Operation, T) {
        let first = self.state(lane).first;
        let first = first.expect("a lane is taken from only if an operation is first");
        let entry = self.unlink(lane, first);
        if let Some((other, placeholder)) = entry.other() {
            self.close(other);
            self.unlink(other, placeholder);
        }
        entry.into_operation()
    }

    /// Opens a closed lane. An open one is left as it is.
    pub(super) fn reopen(&mut self, lane: Lane) {
        // Closed => Open
        if let Some(state) = self.closed_state(lane) {
            state.is_closed = false;
            let (len, bytes) = (state.len as usize, state.bytes);
            self.open_len += len;
            self.open_bytes += bytes;
            self.remove_or_update_ready(lane);
        }
    }

    /// Removes the queued operations of a closed lane, also those with a placeholder in it. The
    /// lane stays closed.
    pub(super) fn drain(&mut self, lane: Lane) -> Vec<(Operation, T)> {
        let mut drained = Vec::new();
        while let Some(first) = self.closed_state(lane).and_then(|state| state.first) {
            drained.push(self.remove_operation(self.operation_of(first)));
        }
        drained
    }

    /// Removes a queued operation, with its placeholder.
    pub(super) fn remove(&mut self, key: Key, number: u64) -> Option<(Operation, T)> {
        self.get(key, number)?;
        Some(self.remove_operation(key))
    }

    /// Returns the tag of a queued operation.
    pub(super) fn get(&self, key: Key, number: u64) -> Option<&T> {
        let entry = self.entries.get(key);
        let entry = entry.filter(|entry| entry.number == number)?;
        let (_, tag) = entry.operation.as_ref()?;
        Some(tag)
    }

    /// Removes an operation with its placeholder. The next ones of their lanes may then be ready.
    fn remove_operation(&mut self, key: Key) -> (Operation, T) {
        let lane = self.lane_of(key);
        let entry = self.unlink(lane, key);
        let other = entry.other();
        if let Some((other, placeholder)) = other {
            self.unlink(other, placeholder);
        }
        // Once both are removed: an operation that is checked here may be behind both.
        self.remove_or_update_ready(lane);
        if let Some((other, _)) = other {
            self.remove_or_update_ready(other);
        }
        entry.into_operation()
    }

    /// Removes an entry from its lane.
    fn unlink(&mut self, lane: Lane, key: Key) -> Entry<T> {
        let state = self.states.get_mut(&lane);
        let state = state.expect("a lane with operations has a state");
        if state.last != Some(key) && self.entries[key].next.is_none() {
            Self::link(&mut self.entries, state.last);
        }
        let entry = self.entries.remove(key);
        match entry.previous {
            Some(previous) => self.entries[previous].next = entry.next,
            None => state.first = entry.next,
        }
        match entry.next {
            Some(next) => self.entries[next].previous = entry.previous,
            None => state.last = entry.previous,
        }
        let bytes = entry.bytes();
        state.len -= 1;
        state.bytes -= bytes;
        if !state.is_closed {
            self.open_len -= 1;
            self.open_bytes -= bytes;
        }
        entry
    }

    /// Sets `next` in the entries of a lane, from the last one back to those that have it.
    ///
    /// An enqueue leaves it out: with many lanes, the last entry of one is then in no cache. Once
    /// the first entry of a lane is taken, the next ones are about to be read. Each is linked once.
    fn link(entries: &mut Slab<Entry<T>>, last: Option<Key>) {
        let mut next = last;
        while let Some(key) = next {
            let previous = entries[key].previous;
            next = previous.filter(|previous| entries[*previous].next.is_none());
            if let Some(previous) = next {
                entries[previous].next = Some(key);
            }
        }
    }

    /// Looks at a lane again whose first entry or state has changed. The state of an idle lane is
    /// removed, so that memory is bounded by the operations.
    fn remove_or_update_ready(&mut self, lane: Lane) {
        if self.states[&lane].is_idle() {
            self.states.remove(&lane);
            self.shrink();
        } else {
            self.update_ready(lane);
        }
    }

    /// Releases memory once the table is nearly empty. Each call that shrinks follows as many
    /// removals as it moves lanes.
    fn shrink(&mut self) {
        let len = self.states.len();
        if self.states.capacity() > 1_024 && len < self.states.capacity() / 8 {
            self.states.shrink_to(len * 2);
        }
    }

    /// Checks whether an operation became ready, or is no longer, by the change of a lane: the
    /// first of this lane, or the one whose placeholder is first here.
    fn update_ready(&mut self, lane: Lane) {
        if !self.is_ready(lane) {
            self.state(lane).ready_at = None;
        }
        let Some(first) = self.states[&lane].first else {
            return;
        };
        let candidate = self.lane_of(self.operation_of(first));
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
        if ready.len() > 2 * lanes + MIN_SKIPPED {
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
        let Some(first) = state.first.map(|first| &self.entries[first]) else {
            return false;
        };
        let is_first = |(other, placeholder)| {
            let other = &self.states[&other];
            !other.is_closed && other.first == Some(placeholder)
        };
        !state.is_closed && first.operation.is_some() && first.other().is_none_or(is_first)
    }

    /// Returns the key of the operation of an entry: its own, or that of a placeholder's operation.
    fn operation_of(&self, key: Key) -> Key {
        let entry = &self.entries[key];
        match entry.operation {
            Some(_) => key,
            None => entry.counterpart.expect("a placeholder has an operation"),
        }
    }

    /// Returns the lane of an operation.
    fn lane_of(&self, key: Key) -> Lane {
        let operation = self.entries[key].operation();
        operation.expect("the key is of an operation").lane()
    }

    fn closed_state(&mut self, lane: Lane) -> Option<&mut LaneState> {
        let state = self.states.get_mut(&lane);
        state.filter(|state| state.is_closed)
    }

    fn state(&mut self, lane: Lane) -> &mut LaneState {
        let state = self.states.get_mut(&lane);
        state.expect("a lane with operations has a state")
    }
}

impl LaneState {
    fn new() -> Self {
        Self {
            first: None,
            last: None,
            len: 0,
            is_closed: false,
            priority: Priority::Normal,
            ready_at: None,
            bytes: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.first.is_none() && !self.is_closed
    }
}

impl<T> Entry<T> {
    /// Creates an entry that is last in its lane.
    fn new(number: u64, operation: Option<(Operation, T)>, counterpart: Option<Key>) -> Self {
        Self {
            number,
            previous: None,
            next: None,
            counterpart,
            operation,
        }
    }

    fn operation(&self) -> Option<&Operation> {
        let (operation, _) = self.operation.as_ref()?;
        Some(operation)
    }

    fn into_operation(self) -> (Operation, T) {
        self.operation.expect("the entry is an operation")
    }

    /// Returns the other lane of an operation on two lanes, and the placeholder in it.
    fn other(&self) -> Option<(Lane, Key)> {
        self.operation()?.other_lane().zip(self.counterpart)
    }

    fn bytes(&self) -> usize {
        self.operation().map_or(0, Operation::size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operation in a queue, with a tag as large as the queue's, is in two lines of a cache, and
    /// the state of a lane in half a line. Larger ones are slower when there are many.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn entries_and_lanes_are_small() {
        assert_eq!(size_of::<Option<Entry<[u64; 4]>>>(), 120);
        assert_eq!(size_of::<(Lane, LaneState)>(), 32);
    }

    #[cfg(feature = "spool")]
    #[test]
    fn a_merge_of_two_people_with_the_same_lane_is_ready() {
        let lane = Lane::of(&["id", "u1"]);
        let merge = Operation::from_stored(crate::operation::StoredOperation {
            json: bytes::Bytes::from_static(b"{}"),
            lane,
            other_lane: Some(lane),
            may_replay: false,
            goes_alone: true,
        });
        let mut lanes = Lanes::new();
        lanes.push(merge.unwrap(), (), Priority::Normal, 0);
        assert_eq!(lanes.open().0, 1);
        assert!(lanes.has_next());
        lanes.close_next();
        let _ = lanes.take(lane);
        lanes.reopen(lane);
        assert!(lanes.states.is_empty());
    }
}
