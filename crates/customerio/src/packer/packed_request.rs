use crate::{Lane, Request};

/// A request to send, with the operations that it puts in flight.
#[derive(Debug)]
#[must_use = "its lanes stay closed until `in_flight` is settled"]
pub struct PackedRequest<T> {
    /// The request to send: a batch, or one operation that goes alone.
    pub request: Request,
    /// The operations of the request, to be settled with their outcomes.
    pub in_flight: InFlight<T>,
}

/// The operations of one request while they are in flight.
#[derive(Debug)]
#[must_use = "its lanes stay closed until it is settled"]
pub struct InFlight<T> {
    pub(super) members: Vec<(Lane, T)>,
    /// The second lane of an operation on two people. Such an operation goes alone.
    pub(super) other_lane: Option<Lane>,
}

impl<T> PackedRequest<T> {
    /// Splits the request in two, near its middle and between two lanes, so that both parts may be
    /// in flight at once. Returns no second part if all operations are of one lane.
    #[must_use = "the lanes of both stay closed until both are settled"]
    pub fn split(mut self) -> (Self, Option<Self>) {
        let Some(middle) = self.in_flight.middle() else {
            return (self, None);
        };
        let mut request = self.request.clone();
        request.retain(|position| position >= middle);
        self.request.retain(|position| position < middle);
        let in_flight = InFlight {
            members: self.in_flight.members.split_off(middle),
            other_lane: None,
        };
        (self, Some(Self { request, in_flight }))
    }
}

impl<T> InFlight<T> {
    /// Returns the same without operations; the second lane is kept.
    pub(super) fn without_members(&self) -> Self {
        Self {
            members: Vec::new(),
            other_lane: self.other_lane,
        }
    }

    /// Returns the position nearest to the middle at which a lane begins.
    pub(super) fn middle(&self) -> Option<usize> {
        let half = self.members.len() / 2;
        let begins = |position: &usize| self.members[position - 1].0 != self.members[*position].0;
        let positions = (1..self.members.len()).filter(begins);
        positions.min_by_key(|position| position.abs_diff(half))
    }

    /// Returns the tags of the operations, in the order of the request.
    #[must_use]
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &T> {
        self.members.iter().map(|(_, tag)| tag)
    }
}
