use std::collections::VecDeque;

use crate::{Lane, Operation};

/// What waits in one lane.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) items: VecDeque<Item<T>>,
    pub(super) in_flight: bool,
}

/// One place in a lane.
#[derive(Debug)]
pub(super) enum Item<T> {
    /// Keeps the place of an operation that names this lane second and waits in the other one.
    Hold(Lane),
    Whole(Operation, T),
}

impl<T> Waiting<T> {
    pub(super) const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            in_flight: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.items.is_empty() && !self.in_flight
    }

    /// Returns the operation at the head, unless the head keeps a place.
    pub(super) fn operation(&self) -> Option<&Operation> {
        match self.items.front()? {
            Item::Hold(_) => None,
            Item::Whole(operation, _) => Some(operation),
        }
    }

    /// Returns whether the head keeps the place of an operation that waits in `owner`.
    pub(super) fn holds_for(&self, owner: Lane) -> bool {
        self.items.front().is_some_and(|item| item.holds_for(owner))
    }

    /// Returns whether the head is an operation that names `other` second.
    pub(super) fn needs(&self, other: Lane) -> bool {
        self.items.front().is_some_and(|item| item.needs(other))
    }
}

impl<T> Item<T> {
    pub(super) fn holds_for(&self, owner: Lane) -> bool {
        matches!(self, Self::Hold(lane) if *lane == owner)
    }

    pub(super) fn needs(&self, other: Lane) -> bool {
        matches!(self, Self::Whole(operation, _) if operation.other_lane() == Some(other))
    }

    pub(super) fn into_operation(self) -> Option<(Operation, T)> {
        match self {
            Self::Hold(_) => None,
            Self::Whole(operation, tag) => Some((operation, tag)),
        }
    }
}
