//! The wait for a departure of the rate limit or for a permit of the concurrency limit.
//!
//! A request waits without an upper bound, unless its layer has `max_queued`, `max_wait` or
//! `fail_fast`. A service with bounded waits fails with [`Error`](crate::Error).
//!
//! Inside, a `Waiter` is one caller, and `Waiter::poll_acquire` is its whole way. A `Queue` is the
//! state that callers share: the `Resource`, the positions and the clock, under one lock. A change
//! of the resource wakes the next waiter and assigns nothing to it: what is free stays free until a
//! caller polls and acquires it. A `Front` is its lock-free part, for callers that come while the
//! queue is empty.

mod policy;
mod queue;
mod waited;
mod waiter;

pub use policy::{BoundedWait, UnboundedWait, WaitPolicy};
pub(crate) use queue::{Front, Hint, Queue, Resource, Wake};
pub(crate) use waited::WaitCause;
pub use waited::Waited;
pub(crate) use waiter::{POLLED_AFTER_ITS_END, Unacquired, Waiter};

pub use crate::error::LimitKind;
