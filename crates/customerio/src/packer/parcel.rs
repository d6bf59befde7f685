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

impl<T> Ticket<T> {
    /// Returns the tags of the parcel's operations, in the order of the request.
    #[must_use]
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &T> {
        self.members.iter().map(|(_, tag)| tag)
    }
}
