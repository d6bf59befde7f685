//! Sends a request again when that is safe and promising.
//!
//! Three questions are kept apart. What happened: a 408, 425, 429, 500, 502, 503, 504 or 520 to 524, or an error without
//! an answer, can be tried again. Is a replay safe: yes for GET, HEAD, PUT, DELETE, OPTIONS and TRACE, for a request that
//! carries the [`Replay`] mark in its extensions, for one that was refused with a 429, and for one whose error proves
//! that it never left ([`was_sent`](crate::was_sent)). How long to wait: [`RetryPolicy`] says it, and `Retry-After` (in
//! seconds) is never undercut.
//!
//! Put this layer outside of the rate limit and of the concurrency limit: every attempt then pays both, and nothing is
//! held during a backoff. A response that is not returned is dropped before the wait.

mod future;
mod layer;
mod service;
mod signs;

pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use pacing::retry::{Backoff, RetryPolicy};
pub use service::Retry;
pub use signs::{Attempt, Replay};
