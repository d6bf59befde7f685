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
//! and about 10 ms more. Where only an answer can make room, the first of them costs up to 200 ms more, and up to 2 s where
//! an answer makes departures come that much sooner than those who wait were told. A future that is dropped while it waits gives its place back; one that is dropped
//! later keeps its slot for as long as the request may still count at the server.
//!
//! A waiter that was passed over and is polled again has its old place. It is then waited for twice as long, each time
//! until it is served, up to 1.28 s. So a caller whose thread is busy whenever it is woken has its turn too, however often
//! another one asks in between.
//!
//! Each waiter owns its timer. It looks when it comes, when it is next and when it may depart. While departures are
//! further apart than 5 ms it looks in between as well, after 5 ms for each that stands before it: n waiters look at most
//! 200 (1 + ln n) times a second in all.
//!
//! A layer stands in a stack once. If it stands there twice, each request departs twice, and waits for the second time
//! behind all others while the first departure holds its slot. Nothing spins, but it is slow: at 100 a second 40 calls at
//! once take 10 s, and 200 take 3 minutes. Bound the wait.
//!
//! # Which settings
//!
//! The share of 100 requests a second that many callers use. Of three figures, the first is for answers after 20 ms, the
//! second for answers after 2 s and more, and the third for answers after 20 ms, 5 % of them after 30 s:
//!
//! | what is known | setting | used |
//! |---|---|---|
//! | nothing | `Quota::new(limit, window)` | 90 -> 98 %, 50 %, 90 % |
//! | requests arrive within 250 ms or never | [`max_transit`](pacing::Quota::max_transit) | 90 -> 98 %, 80 %, 90 % |
//! | the server keeps a log, or counts by the minute | [`model`](pacing::Quota::model) `SlidingLog`, `FixedWindow` | 98 %, 50 %, 94 % |
//! | the server is a bucket or a GCRA | `TokenBucket { size, refill }` | 100 % of its refill |
//! | the limit is by the minute, the hour or the day | `Quota::per_minute`, `per_hour` | 98 % |
//! | the server counts a request when it answers | [`counted_until_answered`](pacing::Quota::counted_until_answered) | 90 -> 98 %, the limit in each window and round trip (33 % after 2 s), 41 % |
//!
//! The arrow is what 5,000 answers change, which show how much the path varies. Small limits by the second are half used
//! unless the model is named: 1 a second leaves every 2.2 s, with `SlidingLog` every second. The crate [`pacing`] has
//! all tables, and `cargo run --release -p pacing --example prices` measures them.
//!
//! | what is wanted | setting |
//! |---|---|
//! | an idle client answers at once | [`burst`](pacing::Quota::burst); an unknown server with a window of a minute and more has one of L/50 |
//! | a program starts before an unused limit | [`unused_at_start`](pacing::Quota::unused_at_start) |
//! | several limits hold | [`and`](pacing::Quota::and), one claim for all |
//! | limits are by host, tenant or endpoint | [`keyed`](RateLimitLayer::keyed) |
//! | a request counts for several | [`Cost`](crate::Cost) in its extensions; keep it under L/10, or name the model |
//! | and a limit of requests holds beside that | [`by_request`](pacing::Quota::by_request), then [`and`](pacing::Quota::and) |
//!
//! # What an answer does
//!
//! Every status is the server's own word but these. 408, 499, 504, 522, 524, 598 and 599 are timeouts of something on the
//! way, which say nothing. 502, 503, 520, 521, 523, 525 to 527 and 530 are a gateway's, and show that the path is open. In
//! both cases the request may still arrive, and its slot stays held for as long as without an answer.
//!
//! A 429, or a 503 with `Retry-After`, stops everyone who shares the limiter: until `Retry-After` (more than zero); or
//! else, if the fields state that nothing remains, until their reset; or else for the window and the assumed jitter, doubled
//! with every further refusal up to 32 times. Then it goes on at 80 % of the rate and climbs back. Errors, timeouts and
//! other 5xx say nothing of the limit and change nothing.
//!
//! The `RateLimit` fields of an answer are read in all the generations of [`pacing::fields`]. A policy for up to a minute
//! that is slower than the quota replaces it, down to a 20th of its rate, for a minute after it was last stated. Where more
//! of a limit is used than our own requests explain, no more leave than remain until the reset. Of a limit with a window of
//! a minute and more, the rest that is stated may leave at once; such servers often have a second limit by the second,
//! which must be told with `and`. What a body says goes to [`Handle::learn`].
//!
//! A request that had to wait finds in its response's extensions for what: [`Waited`](crate::Waited). A [`Handle`] shows
//! what holds requests back now, and pauses or changes the limit in use.
//!
//! # The rule
//!
//! Of a limit L in a window W, departures are spaced by (W + jitter + lateness) / (L - 1), and a request may leave at s
//! only while it finds a slot. A slot is held for `max_transit` and W from the departure, or for W from the server's
//! answer if that is sooner. While requests leave and none of them is answered, only single ones probe the path. The first
//! rule suits every way of counting while the path varies by no more than the assumed jitter; the second holds before a log, a
//! fixed window or a bucket of L while requests arrive within `max_transit` or never. [`pacing`] says more, and
//! [`Quota`](crate::Quota) has the assumptions: the limit is ours alone, clocks run within 500 ppm, and nothing below this
//! layer queues, retries or follows redirects.
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
