//! The Track API's public rules as pure functions: from the bytes of a request to operations, or to a refusal in its words.

mod check;
pub(crate) mod delivery;
mod device;
mod event;
mod identifier;
mod link;
mod object;
mod operation;
mod refusal;
pub(crate) mod v1;
pub(crate) mod v2;

pub(crate) use event::Tracked;
pub(crate) use identifier::Identifier;
pub(crate) use link::{Link, Party};
pub(crate) use object::ObjectName;
pub(crate) use operation::{DeliveryNews, Membership, ObjectChange, Operation, Subscription};
pub(crate) use refusal::Refusal;
