//! Ends a call at its deadline, and tells everyone below how long there is left.
//!
//! A [`Deadline`] in the extensions of a request is obeyed by a retry and by a bounded rate limit
//! (`max_wait`, `max_queued`): neither begins a wait that could not end before it. A bounded rate
//! limit and a bounded concurrency limit send nothing after it, however late the caller is polled.
//! The concurrency limit sees it only at the call, and waits before. Unbounded limits ignore it,
//! since they have no error of their own, and so does the first attempt of a retry. It is a hint,
//! and ends nothing that has begun.
//!
//! [`DeadlineLayer`] makes it a promise: the call has ended by then, if need be with an
//! [`Error`](crate::Error) that [is elapsed](crate::Error::is_elapsed). Put that layer outside;
//! waiting for a turn and for a retry count. The time is that from `call` on, not that in which the
//! stack becomes ready. A rate limit is always ready, so with one in the stack that is no time; a
//! concurrency limit without one outside of it makes callers wait in `poll_ready`, so give it a
//! `max_wait`. The timeout of one attempt belongs inside of the rate limit, where waiting does not
//! count.

mod future;
mod layer;
mod moment;
mod service;

pub use future::ResponseFuture;
pub use layer::DeadlineLayer;
pub use moment::Deadline;
pub use service::Deadlined;

pub use crate::error::Elapsed;
