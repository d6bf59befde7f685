//! Reporting webhooks: the requests that Customer.io sends to your server, one for each event.
//!
//! [`VerifyLayer`] verifies the signature before your handler runs, and [`WebhookEvent`] parses the
//! body:
//!
#![cfg_attr(feature = "client", doc = "```")]
#![cfg_attr(not(feature = "client"), doc = "```ignore")]
//! use axum::body::Bytes;
//! use axum::http::StatusCode;
//! use axum::routing::post;
//! use axum::{Extension, Router};
//! use customerio::webhooks::{SigningKey, Verified, Verifier, VerifyLayer, WebhookEvent};
//!
//! async fn receive(_proof: Extension<Verified>, body: Bytes) -> StatusCode {
//!     match WebhookEvent::from_slice(&body) {
//!         Ok(event) => println!("{} {}", event.name(), event.event_id()), // enqueue it instead
//!         Err(error) => eprintln!("{error}"),
//!     }
//!     StatusCode::NO_CONTENT
//! }
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # fn main() { simulated(async {
//! let key = SigningKey::from_env()?; // CUSTOMERIO_WEBHOOK_SIGNING_KEY
//! let app: Router = Router::new()
//!     .route("/webhooks/customerio", post(receive))
//!     .layer(VerifyLayer::new(Verifier::new(key)));
//! # deliver_to(app, "/webhooks/customerio").await?;
//! # Ok(()) }) }
//! ```
//!
//! Three settings matter most:
//!
//! - [`Verifier::also`]: a second key, while keys are rotated.
//! - [`VerifyLayer::max_body`]: the bytes of a body, at most 2 MiB by default.
//! - [`VerifyLayer::max_age`]: the age of a signature, unbounded by default.
//!
//! Without the layer, [`Verifier::verify`] takes headers and body of any server.
//!
//! The guide [`webhooks`](crate::guide::webhooks) has the rest: when Customer.io sends an event
//! again, how to answer, and how to drop copies.

mod data;
mod error;
mod event;
mod future;
mod headers;
mod key;
mod layer;
mod names;
mod rejection;
mod service;
mod verifier;

pub use data::{EventData, Identifiers, PushRecipient, Source};
pub use error::SignatureError;
pub use event::{InvalidEvent, WebhookEvent};
pub use future::ResponseFuture;
pub use headers::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
pub use key::SigningKey;
pub use layer::VerifyLayer;
pub use names::{EventMetric, ObjectType};
pub use rejection::Rejection;
pub use service::Verify;
pub use verifier::{Verified, Verifier};
