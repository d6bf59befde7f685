use crate::{Lane, Request};

/// One request that may be sent now.
#[derive(Debug)]
#[must_use = "its lanes stay closed until the ticket is settled"]
pub struct Parcel<T> {
    /// What to send: a batch, or one operation that goes alone.
    pub request: Request,
    /// What to settle with the outcomes.
    pub ticket: Ticket<T>,
}

/// Stands for the operations of one parcel while they are in flight.
#[derive(Debug)]
#[must_use = "its lanes stay closed until it is settled"]
pub struct Ticket<T> {
    pub(super) members: Vec<(Lane, T)>,
    /// The second lane of an operation that names two people; it goes alone.
    pub(super) other_lane: Option<Lane>,
}

impl<T> Parcel<T> {
    /// Splits into two parcels near the middle, between two lanes, so that both may be in flight at
    /// once. There is no second one if all operations are of one lane.
    #[must_use = "the lanes of both stay closed until their tickets are settled"]
    pub fn split(mut self) -> (Self, Option<Self>) {
        let Some(middle) = self.ticket.middle() else {
            return (self, None);
        };
        let mut request = self.request.clone();
        request.retain(|position| position >= middle);
        self.request.retain(|position| position < middle);
        let ticket = Ticket {
            members: self.ticket.members.split_off(middle),
            other_lane: None,
        };
        (self, Some(Self { request, ticket }))
    }
}

impl<T> Ticket<T> {
    /// Returns a ticket of nothing, for the same second lane.
    pub(super) fn emptied(&self) -> Self {
        Self {
            members: Vec::new(),
            other_lane: self.other_lane,
        }
    }

    /// Returns the position nearest to the middle at which another lane begins.
    fn middle(&self) -> Option<usize> {
        let half = self.members.len() / 2;
        let begins = |position: &usize| self.members[position - 1].0 != self.members[*position].0;
        let positions = (1..self.members.len()).filter(begins);
        positions.min_by_key(|position| position.abs_diff(half))
    }

    /// Returns the tags of the parcel's operations, in the order of the request.
    #[must_use]
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &T> {
        self.members.iter().map(|(_, tag)| tag)
    }
}
