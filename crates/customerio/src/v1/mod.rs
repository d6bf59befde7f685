//! Requests of version 1 of the Track API.
//!
//! ```
//! use customerio::{Attributes, Person, v1};
//! let request = v1::identify(&Person::id("a b/c")?, &Attributes::new())?;
//! assert_eq!(request.path(), "/api/v1/customers/a%20b%2Fc");
//! assert!(v1::identify(&Person::id("a@b.co")?, &Attributes::new()).is_err());
//! # Ok::<(), customerio::InvalidInput>(())
//! ```
//!
//! Prefer version 2, an [`Operation`](crate::Operation), if it supports the operation. Only version
//! 1 has anonymous events, forms, manual segments, metrics and the region.
//!
//! # Identifiers
//!
//! Version 1 infers the kind of an identifier from its text. These functions therefore return an
//! error for an id that contains `@` or starts with `cio_`. If it is an email or a `cio_id`, use
//! [`Person::email`](crate::Person::email) or [`Person::cio_id`](crate::Person::cio_id).
//!
//! An identifier that takes more than 32,000 bytes in the path is an error with each
//! [`Validation`](crate::Validation).

mod account;
mod deliveries;
mod form;
mod people;
mod relationships;
mod request;
mod segments;

pub use account::{Account, region};
pub use deliveries::{metric, push_event, resubscribe, unsubscribe};
pub use form::{Form, submit_form};
pub use people::{
    add_device, anonymous_event, delete, delete_device, event, identify, identify_with, merge,
    suppress, unsuppress,
};
pub use relationships::{add_relationships, delete_relationships};
pub(crate) use request::{Success, V1Request};
pub use segments::{add_to_segment, remove_from_segment};
