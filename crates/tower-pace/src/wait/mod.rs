//! The wait-line that the rate limit and the concurrency limit share: how a request gets its turn,
//! and how long it waits.
//!
//! Both wait for as long as it takes unless they are bounded with `max_queued`, `max_wait` or
//! `fail_fast`; a bounded service fails with [`Error`](crate::Error).
//!
//! Inside, a `Queue` is the shared state: a `Resource` (what is waited for), the line, and the
//! clock, under one lock. A `Waiter` is one request's way through it. Nothing is handed over: a
//! change wakes who is next, and what was set free stays free until somebody polls and takes it.
//! Before the lock stands a `Front`, for those who come while nobody waits.

mod policy;
mod queue;
mod waited;
mod waiter;

pub use policy::{BoundedWait, UnboundedWait, WaitPolicy};
pub(crate) use queue::{Front, Hint, Queue, Resource, Wake};
pub(crate) use waited::WaitCause;
pub use waited::Waited;
pub(crate) use waiter::{POLLED_AFTER_ITS_END, Unacquired, Waiter};
