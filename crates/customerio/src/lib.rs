//! Speaks to Customer.io's Track API: requests as values out, typed outcomes in.
//!
//! This crate is unofficial. Without features it does no I/O, reads no clock and needs no async
//! runtime:
//!
//! 1. Say who and what: [`Person`], [`Attributes`], [`Event`].
//! 2. Make it one checked and serialized [`Operation`], alone or in a [`Batch`].
//! 3. Turn the [`Request`] into an [`http::Request`] for an [`Endpoint`], and send it with
//!    anything.
//! 4. Give the answer to [`Request::settle`] or [`Delivery`]: every operation ends as exactly one
//!    [`Outcome`].
//!
//! With feature `client`, `Client` does all of this over a paced stack of layers.
//! Who keeps many requests in flight takes [`packer`], which keeps the order for each person.
//!
//! # Example
//!
//! ```
//! use customerio::{Attributes, Credentials, Delivery, Endpoint, Operation, Outcome, Person, Region};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::for_region(Region::Eu, Credentials::new("site", "key")?);
//! let mut attributes = Attributes::new();
//! attributes.insert("plan", "pro")?;
//! let mut delivery = Delivery::new(Operation::identify(&Person::id("u1")?, &attributes)?);
//!
//! while let Some(request) = delivery.request() {
//!     let request = request.to_http(&endpoint);
//!     assert_eq!(request.uri(), "https://track-eu.customer.io/api/v2/entity");
//!     let response = http::Response::new("{}".into()); // sent by an HTTP client of your choice
//!     delivery.answer(&response);
//! }
//! assert!(matches!(delivery.into_outcomes()[..], [Outcome::Accepted]));
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod attributes;
mod batch;
#[cfg(feature = "client")]
pub mod client;
mod credentials;
mod delivery;
mod device;
mod email;
mod endpoint;
mod error;
mod event;
mod event_id;
#[cfg(all(feature = "testing", any(doc, doctest)))]
pub mod guide;
mod identify;
mod json;
mod metric;
mod object;
mod operation;
pub mod packer;
mod person;
mod region;
mod relationship;
mod request;
mod response;
mod settle;
#[cfg(feature = "testing")]
pub mod testing;
mod timestamp;
pub mod v1;
mod validation;

pub use attributes::Attributes;
pub use batch::{Batch, NotAdded};
#[cfg(feature = "client")]
pub use client::Client;
pub use credentials::Credentials;
pub use delivery::Delivery;
pub use device::{Device, Platform};
pub use endpoint::Endpoint;
pub use error::InvalidInput;
pub use event::{AnonymousEvent, Event};
pub use event_id::EventId;
pub use identify::Identify;
pub use metric::{Channel, Metric, PushEvent};
pub use object::Object;
pub use operation::{Lane, Operation};
pub use person::Person;
pub use region::Region;
pub use relationship::Relationship;
pub use request::Request;
pub use response::{Cause, Failure, Outcome, Rejection};
pub use settle::Settlement;
pub use timestamp::Timestamp;
pub use validation::Validation;

/// Runs the example of the README.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
