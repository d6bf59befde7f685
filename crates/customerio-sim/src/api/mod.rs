//! The Track API's public rules as pure functions: from the bytes of a request to operations, or to a refusal in its words.
//!
//! Operations about objects, relationships and deliveries are checked for shape and taken, but nothing of them is kept.

mod check;
mod identifier;
mod operation;
mod refusal;
pub(crate) mod v1;
pub(crate) mod v2;

pub(crate) use identifier::Identifier;
pub(crate) use operation::{Operation, Tracked};
pub(crate) use refusal::Refusal;
