//! Ends a call at its deadline, and tells the layers below how much time is left.
//!
//! ```
//! use std::time::Duration;
//! use tower_pace::{RetryLayer, RetryPolicy};
//!
//! let layer = RetryLayer::new(RetryPolicy::default()).deadline(Duration::from_secs(5));
//! assert!(format!("{layer:?}").contains("5s"));
//! ```
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
