//! Sends a request again when that is safe and promising.
//!
//! # The three questions
//!
//! What happened: a 408, 425, 429, 500, 502, 503, 504 or 520 to 524, or an error without a
//! response, can be retried; a 409 only if the request carries an `Idempotency-Key`. The server's
//! own flag, in one of the [`HintHeaders`](crate::HintHeaders), overrules that.
//!
//! Is a replay safe: yes for GET, HEAD, PUT, DELETE, OPTIONS, TRACE and QUERY, for a request that
//! carries the [`Replay`] mark in its extensions, for one that was throttled with a 429, and for
//! one whose error proves that it was not sent or not processed ([`was_sent`](crate::was_sent)).
//!
//! How long to wait: as [`RetryPolicy`] says, and never less than the server asked for, in
//! `Retry-After` or in one of the [`HintHeaders`](crate::HintHeaders).
//!
//! The policy can replace each answer.
//!
//! # When it gives up
//!
//! The last response, or the last error, is returned:
//!
//! - when the attempts or the [`RetryBudget`] are used up,
//! - when the server asks for more time than the policy allows,
//! - when the wait would not end before the request's [`Deadline`](crate::Deadline),
//! - when a bounded limit below [rejected](crate::Rejected) the request: it has said how long the
//!   wait would be. A rejection is recognized if it wraps an error that
//!   [`was_sent`](crate::was_sent) knows.
//!
//! A response that is not the first one carries a [`Retried`] in its extensions.
//!
//! # What it costs
//!
//! A request is cloned before each attempt, with its body and all its extensions, whether or not it
//! may be replayed: any request may be refused with a 429. Where the policy allows one attempt,
//! nothing is cloned. Bodies that are not `Clone` are kept while they are sent by
//! [`RetryLayer::buffered`]. A response that is not returned is read to its end before the wait,
//! within bounds, so that its connection can be used again.
//!
//! Put this layer outside of the rate limit and of the concurrency limit: every attempt then pays
//! both, and nothing is held during a backoff once the answer is read. A timeout for one attempt
//! goes inside of the rate limit. hyper-util's client sends a request again by itself if it never
//! left over a connection that was closed meanwhile; that is no attempt here. Nothing else below
//! may send a request again or follow redirects: an error of its last attempt says nothing of the
//! first.
//!
//! # From a `tower::retry::Policy`
//!
//! What its `retry` decides by status goes into [`RetryPolicy::classify`], by method into
//! [`RetryPolicy::replays`], by request into the mark [`Replay`]; its backoff becomes a
//! [`Backoff`], its budget a [`RetryBudget`]. What its `clone_request` refused needs
//! [`RetryLayer::buffered`], or nothing.

mod body;
mod buffered;
mod classify;
mod drain;
mod future;
mod layer;
mod mark;
mod report;
mod retries;
mod service;
mod shared;

pub use body::{ReplayBody, ReplayError};
pub use buffered::{BufferedRetry, BufferedRetryLayer};
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use mark::{Attempt, Replay};
pub use pacing::retry::{Backoff, RetryBudget, RetryPolicy, Verdict};
pub use report::{Retried, Retrying};
pub use service::Retry;
