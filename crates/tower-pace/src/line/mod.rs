//! The wait-line that the rate limit and the concurrency limit share: how a request gets its turn.
//!
//! A [`Queue`] is the shared state: a [`Resource`] (what is waited for), the line, and the clock, under one lock. A
//! [`Waiter`] is one request's way through it. Nothing is handed over: a change wakes who is next, and what was set free
//! stays free until somebody polls and takes it.

mod queue;
mod waiter;

pub(crate) use queue::{Freed, Queue, Resource};
pub(crate) use waiter::Waiter;
