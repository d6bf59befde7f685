//! Ends a call at its deadline, and tells everyone below how long there is left.
//!
//! A [`Deadline`] in the extensions of a request is obeyed by a retry and by a limit whose wait is bounded: neither begins a
//! wait that could not end before it. A limit that waits for as long as it takes ignores it. It is a hint, and ends nothing that
//! has begun. [`DeadlineLayer`] makes it a promise: the call has ended by then, with a [`TimedOut`] if nothing else. Put that layer outside; waiting for a turn and for a retry count. The timeout
//! of one attempt belongs inside of the rate limit, where waiting does not count.

mod error;
mod future;
mod layer;
mod moment;
mod service;

pub use error::TimedOut;
pub use future::ResponseFuture;
pub use layer::DeadlineLayer;
pub use moment::Deadline;
pub use service::Deadlined;
