//! Makes requests of version 1 of the Track API.
//!
//! Version 2 is the better choice where it can: there a [`Person`](crate::Person) says of which kind the identifier is,
//! while version 1 infers it from the shape of the string. So these functions refuse an id that contains `@` or starts
//! with `cio_`; name it with [`Person::email`](crate::Person::email) or [`Person::cio_id`](crate::Person::cio_id) if it
//! is one. Whatever its kind and the [`Validation`](crate::Validation), an identifier of more than 32,000 bytes in the
//! path is refused, too. Anonymous events, forms, manual segments, metrics and the region exist here only.
//!
//! ```
//! use customerio::{Attributes, Person, v1};
//! let request = v1::identify(&Person::id("a b/c")?, &Attributes::new())?;
//! assert_eq!(request.path(), "/api/v1/customers/a%20b%2Fc");
//! assert!(v1::identify(&Person::id("a@b.co")?, &Attributes::new()).is_err());
//! # Ok::<(), customerio::InvalidInput>(())
//! ```

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
