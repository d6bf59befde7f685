//! Bounds how many requests are in flight, to the end of the response's body.
//!
//! [`Concurrency`] takes a permit in `poll_ready`, first come first served. The permit comes back when the response's
//! body has ended, failed or was dropped, when the call failed, or when the service or future that holds it is dropped.
//! A body that nobody reads keeps its permit: read bodies, or drop them.
//!
//! A free permit is not handed to a waiter: the waiter is woken, and if it does not come within some milliseconds the
//! next one may take it. No permit is held while the inner service is not ready.

mod body;
mod future;
mod layer;
mod permit;
mod service;

pub use body::PermitBody;
pub use future::ResponseFuture;
pub use layer::ConcurrencyLayer;
pub use service::Concurrency;
