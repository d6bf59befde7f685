//! Ends a call at its deadline, and tells the layers below how much time is left.
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_pace::{Deadline, DeadlineLayer, RetryLayer, RetryPolicy};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//!
//! // In place of a client: its server never answers.
//! let client = service_fn(|_: http::Request<String>| {
//!     std::future::pending::<Result<http::Response<String>, io::Error>>()
//! });
//! let api = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(30)))
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .service(client);
//!
//! let mut request = http::Request::get("/").body(String::new()).unwrap();
//! request.extensions_mut().insert(Deadline::within(Duration::from_secs(5))); // this call has less
//! let error = api.oneshot(request).await.unwrap_err();
//! assert!(error.is_elapsed());
//! # }
//! ```
//!
//! [`docs::applications`](crate::docs::applications#a-deadline-for-each-call) has a recipe with a
//! client, which turns each error into a status.
//! [`RetryLayer::deadline`](crate::RetryLayer::deadline) makes both layers in one.
//!
//! [`DeadlineLayer`] is a promise: a call has ended by its deadline, with an
//! [`Error`](crate::Error) that [is elapsed](crate::Error::is_elapsed) if need be. The deadline
//! counts from `call`. It includes the waits for a departure and for a retry.
//!
//! Put the layer outside all others. A rate limit is ready at once. A concurrency limit without a
//! rate limit outside it makes callers wait in `poll_ready`, before `call`, so give it a
//! `max_wait`. A timeout of one attempt belongs inside the rate limit, where the wait for a
//! departure does not count.
//!
//! # A deadline without the layer
//!
//! A [`Deadline`] in the extensions of a request is a hint to the layers below:
//!
//! | layer | what it does |
//! |---|---|
//! | retry | begins no backoff that would end after the deadline |
//! | bounded rate limit | begins no wait that would end after it, and sends nothing after it |
//! | bounded concurrency limit | sends nothing after it; the wait for the permit comes before the call |
//! | unbounded limits, and the first attempt of a retry | ignore it, since they have no error of their own |

#[expect(clippy::module_inception, reason = "each type has a file of its name")]
mod deadline;
mod future;
mod layer;
mod service;

pub use deadline::Deadline;
pub use future::ResponseFuture;
pub use layer::DeadlineLayer;
pub use service::Deadlined;

pub use crate::error::Elapsed;
