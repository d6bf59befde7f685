//! Lets requests leave so that a server whose limit is known refuses none of them.
//!
//! # Who waits where
//!
//! [`RateLimit`] is always ready and reserves nothing in `poll_ready`: a request waits in its future, in the order of
//! the first polls. That is no backpressure; bound the number of callers. When its turn has come, the future asks the
//! inner service for readiness, takes the departure, calls the inner service and polls it once, with nothing in between
//! that could wait. A departure is never held while something else is waited for.
//!
//! A departure that is due is not handed to a waiter: the waiter is woken, and if it does not come within 5 ms (its future
//! is parked in a `select!`, say) the next one may take it. So k parked futures cost those behind them 5 ms each, once,
//! and another 100 ms where only an answer can make room. A future that is dropped while it
//! waits gives its place back; one that is dropped later keeps its slot for as long as the request may still count at
//! the server.
//!
//! # The rule
//!
//! Departures are spaced by (window + jitter + lateness) / (limit - 1), and a request may leave at s only if (requests
//! in flight) + (answers received in (s - window, s]) < limit. [`pacing::Window`] has the proof and the assumptions,
//! [`Quota`](crate::Quota) the settings. The limit holds if nothing below this layer queues, retries or follows
//! redirects.
//!
//! # What an answer does
//!
//! A 429, or a 503 with `Retry-After`, stops everyone who shares the limiter: until `Retry-After` (in seconds, more than
//! zero), or else for the window and the jitter ceiling, doubled with every further refusal up to 32 times. Then it goes
//! on at 80 % of the rate and climbs back. Errors, timeouts and other 5xx say nothing of the limit and change nothing;
//! but a request that ended without an answer, or with a gateway's 502 or 504, may still arrive, and keeps its slot
//! accordingly longer.

mod flight;
mod future;
mod handle;
mod keyed;
mod layer;
mod news;
mod pace;
mod scope;
mod service;
mod snapshot;

pub use future::ResponseFuture;
pub use handle::Handle;
pub use keyed::Keyed;
pub use layer::RateLimitLayer;
pub use scope::{Scope, Single};
pub use service::RateLimit;
pub use snapshot::{Bound, Counters, Snapshot};
