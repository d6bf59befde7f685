//! Packs operations into requests so that each person's operations keep their order.
//!
//! [`Packer`] does no I/O and reads no clock. Operations go in, each with a tag by which the caller knows it again;
//! [`Parcel`]s come out, each one request with a [`Ticket`]. Any number of parcels may be in flight: no two of them
//! carry operations of one [`Lane`](crate::Lane), until the ticket is settled. Operations that go alone get a request
//! of their own.
//!
//! ```
//! use customerio::{Attributes, Operation, Outcome, Person, packer::Packer};
//! let mut packer = Packer::new(500);
//! for (row, id) in ["u1", "u2", "u1"].into_iter().enumerate() {
//!     packer.push(Operation::identify(&Person::id(id)?, &Attributes::new())?, row)?;
//! }
//! while let Some(parcel) = packer.next_parcel() {
//!     let outcomes = vec![Outcome::Accepted; parcel.request.len()]; // from `Client::send`
//!     let settled = packer.settle(parcel.ticket, outcomes);
//!     let rows: Vec<_> = settled.into_iter().map(|(row, _)| row).collect();
//!     assert_eq!(rows, [0, 2, 1]); // lane by lane
//! }
//! assert!(packer.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod lanes;
mod parcel;
mod refusal;
mod state;
mod waiting;

pub use parcel::{Parcel, Ticket};
pub use refusal::NotQueued;
pub use state::Packer;
