//! Decides when the next request may leave, so that a server whose limit is known refuses none.
//!
//! This is arithmetic only: no I/O, no async, no clock and no randomness of its own. The time
//! ([`Moment`]) and the random generator are arguments. The crate `tower-pace` applies it to tower
//! services.
//!
//! # Layout
//!
//! - [`Quota`] is what the server allows, how it counts ([`Model`]) and what is assumed of the
//!   path.
//! - [`Pacer`] returns when a request of a [`Cost`] may leave, and learns from every answer.
//! - [`Line`] returns who is next among those that wait.
//! - [`AdaptiveLimit`] learns from the answers how many requests may be in flight, by trying other
//!   limits.
//! - [`fields`] reads what a server states of its limits.
//! - [`retry`] decides what an answer means and how long to back off, and reads `Retry-After`.
//!
//! # What slow answers cost
//!
//! A saturated client uses this share of a limit of 100 requests a second:
//!
//! | setting, answers after | 10 to 20 ms | 2 s | 20 s | 60 s | 20 ms, 5 % of them 30 s |
//! |---|---|---|---|---|---|
//! | [`Unknown`](Model::Unknown) | 98 % | 50 % | 50 % | 50 % | 90 % |
//! | and [`max_transit`](Quota::max_transit) of 250 ms | 98 % | 80 % | 80 % | 80 % | 90 % |
//! | [`SlidingLog`](Model::SlidingLog) | 98 % | 50 % | 50 % | 50 % | 94 % |
//! | [`TokenBucket`](Model::TokenBucket) | 100 % | 100 % | 100 % | 100 % | 100 % |
//! | `Unknown`, 6,000 a minute | 98 % | 98 % | 98 % | 98 % | 98 % |
//! | `Unknown`, [`counted_until_answered`](Quota::counted_until_answered) | 98 % | 33 % | 5 % | 2 % | 40 % |
//!
//! `cargo run --release -p pacing --example prices` prints this table and those below.
//!
//! # What the models cost
//!
//! L is the limit and B the burst. W is the window, counted as W (1 + 500 ppm) + 1 ms since clocks
//! differ. J is the assumed jitter, 100 ms at first. D is how late a timer may fire, 2 ms.
//!
//! | model | time between departures | nothing is refused |
//! |---|---|---|
//! | `Unknown` | (W + J + D)/(L - B), 2 (W + J + D) for L = 1 | by a log, a fixed window or a bucket of L while requests arrive within `max_transit` or never; by a sliding counter while the path varies by J at most, too |
//! | `SlidingLog`, [`FixedWindow`](Model::FixedWindow) | W/L | while requests arrive within `max_transit` or never |
//! | `TokenBucket`, with a token every q | q, or (q + J + D)/size if that is more | while the path varies by J at most |
//!
//! B is 1 by default. For `Unknown` with a W of a minute or more it is L/50. This share of the
//! limit is used at a round trip of 1 ms, at first and once jitter is learned:
//!
//! | requests a second | `Unknown` | jitter ceiling of 2 ms | `SlidingLog` |
//! |---|---|---|---|
//! | 1 | 45.3 -> 49.6 % | 49.7 -> 49.7 % | 99.7 -> 99.7 % |
//! | 10 | 81.6 -> 89.3 % | 89.5 -> 89.5 % | 99.7 -> 99.7 % |
//! | 100 | 89.7 -> 98.3 % | 98.5 -> 98.5 % | 99.7 -> 99.7 % |
//! | 1000 | 90.5 -> 99.2 % | 99.3 -> 99.3 % | 99.5 -> 99.6 % |
//! | 10000 | 90.7 -> 99.3 % | 99.4 -> 99.4 % | 90.6 -> 99.5 % |
//!
//! A small limit without a model is only half used. Name the model, which doubles the rate at 1 a
//! second, or a lower [`jitter_ceiling`](Quota::jitter_ceiling). A longer round trip leaves, of 100
//! requests a second:
//!
//! | round trip | W/(W + round trip) | `Unknown` | `SlidingLog` | `TokenBucket` |
//! |---|---|---|---|---|
//! | 1 ms | 99.9 % | 89.7 -> 98.3 % | 99.7 -> 99.7 % | 99.9 -> 99.9 % |
//! | 10 to 20 ms | 98.5 % | 89.7 -> 97.5 % | 98.2 -> 98.3 % | 99.9 -> 99.9 % |
//! | 100 ms | 90.9 % | 89.7 -> 90.7 % | 90.7 -> 90.7 % | 99.9 -> 99.9 % |
//! | 200 ms | 83.3 % | 83.3 -> 83.2 % | 83.2 -> 83.3 % | 99.9 -> 99.9 % |
//! | 20 ms, 80 ms at p99 | 97.7 % | 89.7 -> 89.9 % | 97.3 -> 97.2 % | 99.9 -> 99.9 % |
//!
//! # What costs cost
//!
//! `Unknown` spaces all requests for the heaviest of the last two windows. Of a limit of 100 a
//! second this cost leaves each second:
//!
//! | mix | `Unknown` | jitter ceiling of 2 ms | `SlidingLog` | `TokenBucket` of 100 |
//! |---|---|---|---|---|
//! | all 1 | 97 | 98 | 99 | 100 |
//! | 1 % of 20 | 77 | 79 | 91 | 96 |
//! | 10 % of 20 | 74 | 80 | 87 | 100 |
//! | 100 % of 20 | 72 | 80 | 99 | 100 |
//! | 1 % of 50 | 45 | 48 | 79 | 91 |
//! | 10 % of 50 | 45 | 50 | 62 | 100 |
//! | 100 % of 50 | 45 | 50 | 99 | 100 |
//! | 1 % of 100 | 26 | 28 | 66 | 55 |
//! | 10 % of 100 | 18 | 21 | 55 | 49 |
//! | 100 % of 100 | 45 | 50 | 99 | 90 |
//!
//! Keep a cost under a tenth of the limit, or name the model, and ask for no
//! [`burst`](Quota::burst) beside heavy costs.
//!
//! # The rules
//!
//! **Slots.** A request holds slots for its cost from its departure s until s + `max_transit` + W.
//! Once the server's own answer came at r, it holds them until min(r, s + `max_transit`) + W. A
//! request leaves only if there are slots for it. No request that hangs, is slow or was given up
//! holds slots for longer. `src/window.rs` has the proof.
//!
//! **Cap.** If more requests have left unanswered than the pace sends in a typical round trip, the
//! path may be blocked. Single requests then probe it, at gaps that double up to `max_transit`,
//! until one of them or a later request is answered. After a block of the whole path, however long,
//! a log of 100 or more refuses nothing. Smaller limits have a few refusals after 5 s and more,
//! since the limiter never stops (10 a second: none to 5 s, 3 to 5 at 10 s).
//!
//! **Start.** The first departure comes one interval after the start, or after 100 ms if that is
//! sooner. The second comes two intervals after the start: a process that was just restarted has
//! forgotten its window. With [`unused_at_start`](Quota::unused_at_start) the whole burst may leave
//! at once.
//!
//! **The server's word.** With a window of a minute or more, the requests that an answer states to
//! remain may leave at once, 10 ms apart. When they have left, nothing leaves before the stated
//! reset. The first request after the reset asks again. A refusal that the fields do not explain
//! ends this for good. Many such servers have a second limit by the second: add it with
//! [`and`](Quota::and).
//!
//! **Refusals.** One refusal closes the gate for everyone: until `Retry-After`; without it, if
//! nothing remains, until the stated reset; otherwise for W + J, doubled with every further refusal
//! up to 32 times. Then the rate starts at 80 % and climbs. If others take 30 or 60 % of the limit,
//! there are 2 to 5 refusals a minute, and 78 to 84 % of the rest is used.
//!
//! # Outside of the promise
//!
//! - A block of a part of the path, say of one gateway of two, for longer than `max_transit`.
//! - A block for longer than `max_transit` where answers take longer than that anyway.
//! - A server that counts a request when it answers, without `counted_until_answered`.
//! - A request that costs more than was estimated; see [`Pacer::settle`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use pacing::{Due, Moment, Pacer, Quota};
//!
//! let mut pacer = Pacer::new(Quota::per_second(100));
//! let start = Moment::ORIGIN;
//! let Due::At(first) = pacer.due(start) else { unreachable!("the first departure is never at once") };
//!
//! pacer.depart(first);
//! let Due::At(second) = pacer.due(first) else { unreachable!("departures are spaced") };
//! assert!(second.since(first) >= Duration::from_millis(10));
//! ```

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod adaptive;
mod allowance;
mod assumptions;
mod cap;
mod ceiling;
mod conditions;
mod cost;
mod departure;
pub mod fields;
mod gate;
mod heaviest;
mod hold;
mod jitter;
mod line;
mod meter;
mod model;
mod moment;
mod pacer;
mod path;
mod policy;
mod quota;
mod recovery;
pub mod retry;
mod schedule;
mod slots;
mod unit;
mod unsafe_quota;
mod window;

pub use adaptive::{Adaptive, AdaptiveLimit, Answer, Sample};
pub use cost::Cost;
pub use departure::Departure;
pub use hold::{HeldBy, Hold};
pub use line::{Lane, Line, Ticket};
pub use model::Model;
pub use moment::Moment;
pub use pacer::{Due, Feedback, Pacer};
pub use quota::Quota;
pub use unsafe_quota::{TooHeavy, UnsafeQuota};
