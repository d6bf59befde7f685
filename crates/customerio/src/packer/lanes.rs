use std::collections::{HashMap, VecDeque};
use std::mem;

use super::waiting::{Item, Waiting};
use crate::{Lane, Operation};

/// Keeps every lane that has something waiting or in flight, and which of them may give something now.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    waiting: HashMap<Lane, Waiting<T>>,
    /// The lane that waits longest first.
    ready: VecDeque<Lane>,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Puts an operation at the end of its lane, and a place for it at the end of the other lane that it names.
    pub(super) fn push(&mut self, operation: Operation, tag: T) {
        let lane = operation.lane();
        if let Some(other) = operation.other_lane() {
            self.enqueue(other, Item::Hold(lane));
        }
        if self.enqueue(lane, Item::Whole(operation, tag)) {
            self.offer(lane);
        }
    }

    /// Returns whether the lane was idle.
    fn enqueue(&mut self, lane: Lane, item: Item<T>) -> bool {
        let waiting = self.waiting.entry(lane).or_insert_with(Waiting::new);
        let was_idle = waiting.is_idle();
        waiting.items.push_back(item);
        was_idle
    }

    /// Returns the lane whose turn it is, with its operation.
    pub(super) fn next(&self) -> Option<(Lane, &Operation)> {
        let lane = *self.ready.front()?;
        let operation = self.operation(lane);
        Some((lane, operation.expect("a ready lane has an operation")))
    }

    pub(super) fn operation(&self, lane: Lane) -> Option<&Operation> {
        self.waiting.get(&lane)?.operation()
    }

    /// Closes the lane whose turn it is; its operations may be taken now.
    pub(super) fn close_next(&mut self) {
        if let Some(lane) = self.ready.pop_front() {
            self.expect(lane).in_flight = true;
        }
    }

    /// Takes the operation at the head of a closed lane, and closes the other lane that it names.
    pub(super) fn take(&mut self, lane: Lane) -> (Operation, T) {
        let Some(Item::Whole(operation, tag)) = self.expect(lane).items.pop_front() else {
            unreachable!("only a head that is an operation is taken");
        };
        if let Some(other) = operation.other_lane() {
            let other = self.expect(other);
            other.items.pop_front();
            other.in_flight = true;
        }
        (operation, tag)
    }

    /// Opens a lane that was closed, and makes ready what may go now. An open one is left as it is.
    pub(super) fn open(&mut self, lane: Lane) {
        if let Some(waiting) = self.in_flight(lane) {
            waiting.in_flight = false;
            self.forget_or_offer(lane);
        }
    }

    /// Opens a lane that was closed, and takes out all that waits in it, or for it in other lanes.
    pub(super) fn drain(&mut self, lane: Lane) -> Vec<(Operation, T)> {
        let Some(waiting) = self.in_flight(lane) else {
            return Vec::new();
        };
        waiting.in_flight = false;
        let items = mem::take(&mut waiting.items);
        let drained = items
            .into_iter()
            .filter_map(|item| self.detach(lane, item))
            .collect();
        self.forget_or_offer(lane);
        drained
    }

    /// Takes the trace of a drained item out of the other lane, and returns its operation.
    fn detach(&mut self, lane: Lane, item: Item<T>) -> Option<(Operation, T)> {
        match item {
            Item::Hold(owner) => {
                let item = self.withdraw(owner, |item| item.needs(lane))?;
                item.into_operation()
            }
            Item::Whole(operation, tag) => {
                if let Some(other) = operation.other_lane() {
                    self.withdraw(other, |item| item.holds_for(lane));
                }
                Some((operation, tag))
            }
        }
    }

    /// Takes the first such item out of a lane, and makes ready what was behind it.
    fn withdraw(&mut self, lane: Lane, is_it: impl Fn(&Item<T>) -> bool) -> Option<Item<T>> {
        let waiting = self.waiting.get_mut(&lane)?;
        let index = waiting.items.iter().position(is_it)?;
        let item = waiting.items.remove(index);
        if index == 0 && !waiting.in_flight {
            self.forget_or_offer(lane);
        }
        item
    }

    fn forget_or_offer(&mut self, lane: Lane) {
        if self.waiting[&lane].is_idle() {
            self.waiting.remove(&lane);
        } else {
            self.offer(lane);
        }
    }

    /// Makes ready what may go now that a lane has a new head and nothing in flight.
    fn offer(&mut self, lane: Lane) {
        let giver = match self.waiting[&lane].items.front() {
            Some(Item::Hold(owner)) if self.waiting[owner].needs(lane) => *owner,
            Some(Item::Whole(..)) => lane,
            Some(Item::Hold(_)) | None => return,
        };
        if self.may_go(giver) {
            self.ready.push_back(giver);
        }
    }

    /// Returns whether the head of a lane is an operation that waits for nothing in flight, here or in its other lane.
    fn may_go(&self, lane: Lane) -> bool {
        let waiting = &self.waiting[&lane];
        let Some(operation) = waiting.operation() else {
            return false;
        };
        let other = operation.other_lane().map(|other| &self.waiting[&other]);
        !waiting.in_flight && other.is_none_or(|other| !other.in_flight && other.holds_for(lane))
    }

    fn in_flight(&mut self, lane: Lane) -> Option<&mut Waiting<T>> {
        let waiting = self.waiting.get_mut(&lane);
        waiting.filter(|waiting| waiting.in_flight)
    }

    fn expect(&mut self, lane: Lane) -> &mut Waiting<T> {
        self.waiting.get_mut(&lane).expect("the lane is in use")
    }
}
