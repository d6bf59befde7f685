//! Lets requests leave so that a server whose limit is known refuses none of them.
//!
//! # Who waits where
//!
//! [`RateLimit`] is always ready and reserves nothing in `poll_ready`: a request waits in its future, in the order of
//! the first polls. That is no backpressure: bound the wait with [`max_queued`](RateLimitLayer::max_queued),
//! [`max_wait`](RateLimitLayer::max_wait) or [`fail_fast`](RateLimitLayer::fail_fast), or the number of callers. When its
//! turn has come, the future asks the inner service for readiness, takes the departure, calls the inner service and polls
//! it once, with nothing in between that could wait. A departure is never held while something else is waited for.
//!
//! A departure that is due is not handed to a waiter: the waiter is woken, and if it does not come within 5 ms (its future
//! is parked in a `select!`, say) the next one may take it. So k parked futures cost those behind them 5 ms each, once,
//! and another 100 ms where only an answer can make room. A future that is dropped while it
//! waits gives its place back; one that is dropped later keeps its slot for as long as the request may still count at
//! the server.
//!
//! # The rule
//!
//! Of a limit L in a window W, departures are spaced by (W + jitter + lateness) / (L - 1), and a request may leave at s
//! only if (requests in flight) + (answers received in (s - W, s]) < L. The first half suits every way of counting while
//! the path varies by no more than the assumed jitter; the second holds under any delays, before a log, a fixed window
//! or a bucket of L. [`pacing::Window`] has the proof and [`Quota`](crate::Quota) the assumptions: the limit is ours
//! alone, clocks run within 500 ppm, what was given up arrives within `max_transit` or never, and nothing below this layer
//! queues, retries or follows redirects. The table of models and of what they cost is that of the crate [`pacing`].
//!
//! # Which settings
//!
//! | what is known | setting | what it changes |
//! |---|---|---|
//! | nothing | `Quota::new(limit, window)` | 90 % of the limit at first, 98 % once jitter is learned |
//! | the server keeps a log, or counts by the minute | [`model`](pacing::Quota::model) `SlidingLog`, `FixedWindow` | 99 % at a short round trip, from the start |
//! | the server is a bucket or a GCRA | `TokenBucket { size, refill }` | its whole refill, whatever the round trip |
//! | and the path to a log blocks as a whole, for seconds | [`burst`](pacing::Quota::burst) of the whole limit | after a block nothing waits for its slot |
//! | an idle client should answer at once, as a program for the command line before an hourly limit | [`burst`](pacing::Quota::burst) | so many leave at once, from the second window on |
//! | several limits hold | [`and`](pacing::Quota::and) | one claim for all |
//! | answers are slow, and counted when they arrive | [`counted_on_arrival`](pacing::Quota::counted_on_arrival) | L per W + `max_transit` instead of L per W + round trip |
//! | limits are by host, tenant or endpoint | [`keyed`](RateLimitLayer::keyed) | a limit for each |
//! | a request counts for several | [`Cost`](crate::Cost) in its extensions | it takes as many slots, and those behind it wait until it has them |
//! | and a limit of requests holds beside that | [`by_request`](pacing::Quota::by_request), then [`and`](pacing::Quota::and) | of the first it takes one slot |
//!
//! # What an answer does
//!
//! A 429, or a 503 with `Retry-After`, stops everyone who shares the limiter: until `Retry-After` (more than zero), or
//! else for the window and the assumed jitter, doubled with every further refusal up to 32 times. Then it goes
//! on at 80 % of the rate and climbs back. Errors, timeouts and other 5xx say nothing of the limit and change nothing;
//! but a request that ended without an answer, or with a gateway's 502 or 504, may still arrive, and keeps its slot
//! accordingly longer.
//!
//! The `RateLimit` fields of an answer, in all the generations of [`pacing::fields`], are obeyed downward only. A policy
//! for up to a minute that is slower than the quota replaces it, down to a 20th of its rate, for a minute after it was last
//! stated. Where more of a limit is used
//! than our own requests explain, no more leave than remain until the reset. What a body says goes to [`Handle::learn`].
//!
//! A request that had to wait finds in its response's extensions for what: [`Waited`](crate::Waited). A [`Handle`] shows
//! what holds requests back now, and pauses or changes the limit in use.
//!
//! # What others do
//!
//! `cargo test -p tower-pace --test layers peers` shows, on paused time, that a burst where two windows meet (19 calls of
//! 10/s within 20 ms), a permit that a parked clone keeps for ever, a wait that stops all others, a token that is lost
//! with a dropped clone and a permit that is held while a token is waited for do not occur here. `cargo run --release -p
//! bench rate` prints what a call costs beside the peers, and what no limiter can do without whose requests wait in their
//! futures and know their round trips.

mod flight;
mod future;
mod handle;
mod keyed;
mod layer;
mod news;
mod pace;
mod recent;
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
