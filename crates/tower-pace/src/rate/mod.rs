//! Lets requests leave so that a server whose limit is known refuses none of them.
//!
//! # Who waits where
//!
//! [`RateLimit`] is always ready and reserves nothing in `poll_ready`. A request waits in its
//! future, in the order of the first polls. There is no backpressure, so bound the wait with
//! [`max_queued`](RateLimitLayer::max_queued), [`max_wait`](RateLimitLayer::max_wait) or
//! [`fail_fast`](RateLimitLayer::fail_fast), or bound the number of callers.
//!
//! When its turn has come, the future polls the inner service for readiness, departs, calls the
//! inner service and polls the call once. Nothing waits between these steps.
//!
//! A departure that is due is not assigned to a waiter. The waiter is woken; if it is not polled
//! within 5 ms, because its future is parked in a `select!`, say, the next one may depart. So k
//! parked futures cost those behind them 5 ms each, once, and about 10 ms more. Where only an
//! answer can make room, the first of them costs up to 200 ms more, and up to 2 s where an answer
//! makes departures come that much sooner than the waiters were told. A future that is dropped
//! while it waits gives its place back. One that is dropped later keeps its slots for as long as
//! the request may still count at the server.
//!
//! A waiter that was passed over and is polled again has its old place. The limiter then waits
//! for it twice as long, each time until it is served, up to 1.28 s. So a caller whose thread is
//! busy at each wake-up has its turn too, however often another one asks in between.
//!
//! Each waiter owns its timer. While departures are further apart than 5 ms, a waiter also looks
//! in between, after 5 ms for each that stands before it: n waiters look at most 200 (1 + ln n)
//! times a second in all.
//!
//! A layer stands in a stack once. If it stands there twice, each request departs twice and waits
//! the second time behind all others, while its first departure holds its slots. Nothing spins,
//! but it is slow: at 100 a second 40 calls at once take 10 s, and 200 take 3 minutes. Bound the
//! wait.
//!
//! # Which settings
//!
//! The share of 100 requests a second that many callers use. Of three figures the first is for
//! answers after 20 ms, the second for answers after 2 s and more, and the third for answers after
//! 20 ms of which 5 % come after 30 s:
//!
//! | what is known | setting | used |
//! |---|---|---|
//! | nothing | `Quota::new(limit, window)` | 90 -> 98 %, 50 %, 90 % |
//! | requests arrive within 250 ms or never | [`max_transit`](pacing::Quota::max_transit) | 90 -> 98 %, 80 %, 90 % |
//! | the server keeps a log, or counts by the minute | [`model`](pacing::Quota::model) `SlidingLog`, `FixedWindow` | 98 %, 50 %, 94 % |
//! | the server is a bucket or a GCRA | `TokenBucket { size, refill }` | 100 % of its refill |
//! | the limit is by the minute, the hour or the day | `Quota::per_minute`, `per_hour` | 98 % |
//! | the server counts a request when it answers | [`counted_until_answered`](pacing::Quota::counted_until_answered) | 90 -> 98 %, the limit in each window and round trip (33 % after 2 s), 40 % |
//!
//! The figure after the arrow is reached after 5,000 answers, which show how much the path varies.
//! Without a model, a small quota is only half used: at 1 request per second one leaves every 2.2
//! s, with `SlidingLog` every second. The crate [`pacing`] has all tables, and `cargo run --release
//! -p pacing --example prices` measures them.
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
//! 408, 499, 504, 522, 524, 598 and 599 are timeouts of something on the way, and prove nothing.
//! 502, 503, 520, 521, 523, 525 to 527 and 530 come from a gateway, and prove that the path is
//! open. In both cases the request may still arrive, so its slots stay held as they do without an
//! answer. Every other status is the server's own.
//!
//! A 429, or a 503 with `Retry-After`, closes the gate for everyone who shares the limiter: until
//! `Retry-After`, if it is more than zero; without it, if the fields state that nothing remains,
//! until their reset; otherwise for the window and the assumed jitter, doubled with every further
//! refusal up to 32 times. Then the rate starts at 80 % and climbs back. Errors, timeouts and other
//! 5xx neither close the gate nor lower the rate.
//!
//! The `RateLimit` fields of an answer are read in all the generations of [`pacing::fields`]. A
//! policy for up to a minute that is slower than the quota replaces it, down to a 20th of its rate,
//! for a minute after it was last stated. If more of a limit is used than our own requests explain,
//! no more than the remaining leaves until the reset. With a window of a minute or more, the stated
//! remaining may leave at once; such servers often have a second limit by the second, which has to
//! be added with `and`. Pass what a body states to [`Handle::learn`].
//!
//! The extensions of a response say what its request waited for: [`Waited`](crate::Waited). A
//! [`Handle`] shows what holds requests back now, and pauses or changes the limit in use.
//!
//! # The rule
//!
//! L is the limit and W the window.
//!
//! 1. Departures are (W + jitter + lateness) / (L - 1) apart. This keeps every kind of server while
//!    the path varies by no more than the assumed jitter.
//! 2. A request leaves only if there is a slot for it. A slot is held for `max_transit` and W from
//!    the departure, or for W from the server's answer if that is sooner. This keeps a log, a fixed
//!    window and a bucket of L while requests arrive within `max_transit` or never.
//! 3. While no request is answered, only single ones leave, which probe the path.
//!
//! [`pacing`] says more, and [`Quota`](crate::Quota) has the assumptions: the limit is ours alone,
//! clocks run within 500 ppm, and nothing below this layer queues, retries or follows redirects.
//!
//! # What others do
//!
//! `cargo test -p tower-pace --test layers peers` shows, on paused time, that a burst where two
//! windows meet (19 calls of 10/s within 20 ms), a permit that a parked clone keeps for ever, a
//! wait that stops all others, a token that is lost with a dropped clone and a permit that is held
//! while a token is waited for do not occur here. `cargo run --release -p bench rate` prints what a
//! call costs beside the peers, and what no limiter can do without whose requests wait in their
//! futures and know their round trips.

mod events;
mod future;
mod handle;
mod in_flight;
mod keyed;
mod layer;
mod recent;
mod scope;
mod service;
mod snapshot;
mod state;

pub use future::ResponseFuture;
pub use handle::Handle;
pub use keyed::Keyed;
pub use layer::RateLimitLayer;
pub use scope::{Scope, Single};
pub use service::RateLimit;
pub use snapshot::{Bound, Counters, Snapshot};
