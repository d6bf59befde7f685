//! Sends a request again when a replay is safe and another attempt is promising.
//!
//! ```
//! use tower_pace::{RetryLayer, RetryPolicy};
//!
//! let layer = RetryLayer::new(RetryPolicy::default().attempts(3));
//! ```
//!
//! # Which requests are sent again
//!
//! Another attempt must be promising. It is promising after a 408, 425, 429, 500, 502, 503, 504 or
//! 520 to 524, and after an error without a response. After a 409 it is promising only if the
//! request has an `Idempotency-Key`. A [`Classifier`](crate::Classifier) reads header fields as
//! well. The server's own flag, in one of the [`HintHeaders`](crate::HintHeaders), overrules both.
//!
//! A replay must be safe. It is safe for GET, HEAD, PUT, DELETE, OPTIONS, TRACE and QUERY, and for
//! a request with the [`Replay`] mark in its extensions. With [`RetryLayer::idempotency_keys`] it
//! is safe for a request with an `Idempotency-Key`. It is safe after a 429, and after an error that
//! proves that the request was not sent or not processed: one that
//! [`was_sent`](crate::was_sent) knows, or one that a [`Classifier`](crate::Classifier) adds.
//!
//! Before the next attempt the layer waits as [`RetryPolicy`] says. It never waits less than the
//! server asked for, in `Retry-After` or in one of the [`HintHeaders`](crate::HintHeaders).
//!
//! The policy can replace each of these rules.
//!
//! # When the last result is returned
//!
//! The last response, or the last error, is returned:
//!
//! - when the attempts or the [`RetryBudget`] are used up,
//! - when the server asks for more time than the policy allows,
//! - when the wait would not end before the request's [`Deadline`](crate::Deadline),
//! - when a bounded limit below [rejected](crate::Rejected) the request: it has said how long the
//!   wait would be. A rejection is recognized if it wraps an error that
//!   [`was_sent`](crate::was_sent) or the [`Classifier`](crate::Classifier) knows.
//!
//! The response to a later attempt has a [`Retried`] in its extensions. A failed response that
//! might have been retried has a [`NotRetried`] in them, which says why it was not.
//!
//! # Place in the stack
//!
//! Put this layer outside of the rate limit and of the concurrency limit. Each attempt then waits
//! for both, and nothing is held during a backoff once the response is read. Put a timeout for one
//! attempt inside of the rate limit.
//!
//! No service below may send a request again or follow redirects: the error of its last attempt
//! says nothing about the first. hyper-util's client is an exception. It sends a request again only
//! if the request never left, because its connection was closed; that is not an attempt here.
//!
//! # Costs
//!
//! A request is cloned before each attempt, with its body and all its extensions. This includes
//! requests that are unsafe to replay, since any request may be throttled with a 429. If the policy
//! allows only one attempt, nothing is cloned. [`RetryLayer::buffered`] is for bodies that are not
//! `Clone`: it keeps the frames that were read.
//!
//! A response that is not returned is read to its end during the backoff, within bounds, so that
//! its connection can be used again.
//!
//! # From a `tower::retry::Policy`
//!
//! | `tower::retry::Policy` | here |
//! |---|---|
//! | `retry` decides by the status | [`RetryPolicy::classify`] |
//! | `retry` decides by header fields or by the error | [`Classifier`](crate::Classifier) |
//! | `retry` decides by the method | [`RetryPolicy::replays`] |
//! | `retry` decides by the request | the mark [`Replay`] |
//! | the backoff | [`Backoff`] |
//! | the budget | [`RetryBudget`] |
//! | `clone_request` returns `None` | [`RetryLayer::buffered`] if the body is not `Clone` |

mod body;
mod buffered;
mod classify;
mod config;
mod drain;
mod future;
mod idempotency;
mod layer;
mod mark;
mod report;
mod retrier;
mod service;
mod state;

pub use body::{ReplayBody, ReplayError};
pub use buffered::{BufferedRetry, BufferedRetryLayer};
pub use future::ResponseFuture;
pub use idempotency::IdempotencyKeys;
pub use layer::RetryLayer;
pub use mark::{Attempt, Replay};
pub use pacing::retry::{Backoff, RetryBudget, RetryPolicy, Verdict};
pub use report::{GaveUp, NotRetried, Retried, Retrying};
pub use service::Retry;
