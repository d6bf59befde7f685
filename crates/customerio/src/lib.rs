//! An unofficial client for [Customer.io](https://customer.io)'s Track API and [App API](app).
//!
#![cfg_attr(feature = "client", doc = "```")]
#![cfg_attr(not(feature = "client"), doc = "```ignore")]
//! use customerio::{Attributes, Client, Person};
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # fn main() { simulated(async {
//! let client = Client::from_env()?; // CUSTOMERIO_SITE_ID, CUSTOMERIO_TRACK_API_KEY
//! let mut attributes = Attributes::new();
//! attributes.insert("plan", "pro")?;
//! client.identify(&Person::id("u1")?, &attributes).await?;
//! assert_eq!(client.stats().throttled, 0);
//! # Ok(()) }) }
//! ```
//!
//! The client keeps the API's limit and retries what is safe to retry. Each operation ends as
//! exactly one [`Outcome`]: accepted, rejected, unknown or not sent.
//!
//! Three settings of `Client::builder` matter most:
//!
//! - `limits`: the requests per second; by default the documented 1,000.
//! - `deadline`: the time that a call may take; by default as long as it takes.
//! - `concurrency`: the requests in flight; by default 64.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | none | operations, requests and outcomes as values; no I/O, no clock, no async runtime |
//! | `client` | `Client`, over [`tower`](https://docs.rs/tower) and hyper |
//! | `queue` | a queue in memory: hand over and forget, in batches, in order for each person |
//! | `spool` | the queue on disk: what is enqueued outlives a crash; compiles SQLite |
//! | `testing` | clients for tests: one that records requests, one with given replies |
//! | `tracing` | spans and events of the client |
//! | `webhooks` | signatures and events of reporting webhooks, and a tower layer that verifies |
//!
//! # Messages and broadcasts
//!
//! `Client::app` sends transactional messages, triggers broadcasts, and reaches every other
//! endpoint of the App API: see [`app`].
//!
//! # Many operations
//!
//! With feature `queue`, a `Queue` takes operations and sends them in batches, in order for each
//! person, within bounds of memory. With feature `spool`, they are on disk and outlive a crash.
//!
//! A [`Batch`] carries many operations in one request. A [`Packer`](packer::Packer) forms batches
//! and keeps the order of each person's operations while many requests are in flight.
//!
//! # Without the client
//!
//! 1. Build an [`Operation`] from a [`Person`] and [`Attributes`] or an [`Event`]. It is checked
//!    and serialized.
//! 2. Turn its [`Request`] into an [`http::Request`] for an [`Endpoint`], and send it with any HTTP
//!    client.
//! 3. Pass the response to a [`Delivery`], until each operation has its outcome.
//!
//! ```
//! use customerio::{Attributes, Credentials, Delivery, Endpoint, Operation, Outcome};
//! use customerio::{Person, Region};
//!
//! # use bytes::Bytes;
//! # use http_body_util::{BodyExt, Full};
//! # async fn send(
//! #     request: http::Request<Full<Bytes>>,
//! # ) -> Result<http::Response<Bytes>, Box<dyn std::error::Error>> {
//! #     let simulator = customerio_sim::Simulator::builder().build();
//! #     let request = request.map(axum::body::Body::new);
//! #     let response = tower::ServiceExt::oneshot(simulator.router(), request).await?;
//! #     let (head, body) = response.into_parts();
//! #     Ok(http::Response::from_parts(head, body.collect().await?.to_bytes()))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::for_region(Region::Eu, Credentials::new("site", "key")?);
//! let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
//! let mut delivery = Delivery::new(operation);
//!
//! while let Some(request) = delivery.request() {
//!     let request = request.to_http(&endpoint);
//!     assert_eq!(request.uri(), "https://track-eu.customer.io/api/v2/entity");
//!     let response = send(request).await?; // with the HTTP client of your choice
//!     delivery.answer(&response);
//! }
//! assert!(matches!(delivery.into_outcomes()[..], [Outcome::Accepted]));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

pub mod app;
mod attributes;
mod base_url;
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
mod identify;
mod json;
mod metric;
mod object;
mod operation;
pub mod packer;
mod person;
#[cfg(feature = "queue")]
pub mod queue;
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
#[cfg(feature = "webhooks")]
pub mod webhooks;

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

/// Guides, each from its beginning to its end.
#[cfg(all(any(feature = "client", feature = "webhooks"), any(doc, doctest)))]
pub mod guide {
    #[cfg(feature = "client")]
    #[doc = include_str!("../docs/migration.md")]
    pub mod migration {}

    #[cfg(feature = "client")]
    #[doc = include_str!("../docs/recipe.md")]
    pub mod recipe {}

    // Its examples receive events from a simulator, to which a client sends.
    #[cfg(all(feature = "webhooks", any(doc, feature = "client")))]
    #[doc = include_str!("../docs/webhooks.md")]
    pub mod webhooks {}
}

/// Runs the examples of the README.
#[cfg(all(doctest, feature = "spool"))]
#[doc = include_str!("../README.md")]
struct Readme;
