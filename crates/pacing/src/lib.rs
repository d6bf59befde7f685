//! Decides when the next request may go, so that a server whose limit is known refuses none.
//!
//! This is arithmetic only: no I/O, no async, no clock and no randomness of its own. The time is an argument
//! ([`Moment`]), and so is the random generator. The crate `tower-pace` puts it under tower services.
//!
//! # Layout
//!
//! - [`Quota`] says what the server allows, how it counts ([`Model`]) and what is assumed of the path to it.
//! - [`Pacer`] answers when a request of some [`Cost`] may leave, and learns from every answer. Its parts are the
//!   [`Schedule`] (evenly spaced departures), the [`Window`] (what may still count at the server), the [`Jitter`] (how
//!   much the path varies), the [`FlightCap`] (a blocked path must not flush a lump), the [`Gate`] (a refusal stops
//!   everyone) and the [`Recovery`] (the way back to the full rate).
//! - [`Line`] says who is next among those who wait.
//! - [`AdaptiveLimit`] learns from the answers how many requests may be in flight, by trying other limits.
//! - [`fields`] reads what a server says of its limits.
//! - [`retry`] says what an answer means, how long to back off, and what `Retry-After` said.
//!
//! # Models and what they cost
//!
//! W is the window, counted as W (1 + 500 ppm) + 1 ms since clocks differ; J is the assumed jitter, 100 ms at first; D
//! is how late a timer may fire, 2 ms. Of a limit L:
//!
//! | model | time between departures | guard | refused |
//! |---|---|---|---|
//! | [`Unknown`](Model::Unknown) | (W + J + D)/(L - burst), 2 (W + J + D) for L = 1 | acknowledged window, flight cap | nothing under any delays by a log, a fixed window or a bucket of L; nothing by a sliding counter while the path varies by J at most |
//! | [`SlidingLog`](Model::SlidingLog), [`FixedWindow`](Model::FixedWindow) | W/L | acknowledged window | nothing under any delays |
//! | [`TokenBucket`](Model::TokenBucket), with a token every q | q, or (q + J + D)/size if that is more | flight cap | nothing while the path varies by J at most |
//!
//! The first departure comes one interval after the start, and never at once; for the first W + J all models go at the
//! pace of `Unknown` and without a burst. So a restarted process, which has forgotten its window, is refused nothing
//! either, unless the limit is 1, since nobody waits longer than 100 ms for the first departure, or unless more than half
//! of the limit had just left as a burst.
//!
//! What a saturated client uses of 100 requests a second, at first and once jitter is learned:
//!
//! | round trip | W/(W + round trip) | `Unknown` | `SlidingLog` | `TokenBucket` |
//! |---|---|---|---|---|
//! | 1 ms | 99.9 % | 89.7 -> 98.3 % | 99.7 -> 99.7 % | 99.9 -> 99.9 % |
//! | 10 to 20 ms | 98.5 % | 89.7 -> 97.5 % | 98.3 -> 98.3 % | 99.9 -> 99.9 % |
//! | 100 ms | 90.9 % | 89.7 -> 90.7 % | 90.7 -> 90.7 % | 99.9 -> 99.9 % |
//! | 200 ms | 83.3 % | 83.2 -> 83.2 % | 83.2 -> 83.3 % | 99.9 -> 99.9 % |
//! | 20 ms, 80 ms at p99 | 97.7 % | 89.7 -> 89.9 % | 97.2 -> 97.2 % | 99.9 -> 99.9 % |
//!
//! A path that blocks as a whole, for 0.2 to 5 s at a time, lets go of everything at once, and what then comes free at once
//! leaves spaced: before a log that costs 3 % of L W/(W + mean round trip) at a window of 1 s, and 10 % at one of 5 s. With a
//! [`burst`](Quota::burst) of the whole limit, which a log does not mind, it costs 0.2 %.
//!
//! `Unknown` uses less of small limits (10 a second: 81 -> 89 %, 1 a second: 45 -> 50 %) and of short windows (100 in
//! 100 ms: 49 -> 92 %): name the model there, or a lower [`jitter_ceiling`](Quota::jitter_ceiling). Where answers take
//! seconds, the acknowledged window is what costs, unless the server [counts on arrival](Quota::counted_on_arrival): of
//! answers after 5 s, 16 or 50 a second. Beside somebody who takes 30 or 60 % of the limit there are 2 to 5 refusals a
//! minute, and 84 or 78 % of the rest is used.
//!
//! `cargo run --release -p pacing --example prices` prints these figures and more.
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

mod adaptive;
mod assumptions;
mod cost;
pub mod fields;
mod flight_cap;
mod gate;
mod heaviest;
mod jitter;
mod line;
mod meter;
mod model;
mod moment;
mod pacer;
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
pub use flight_cap::FlightCap;
pub use gate::{Gate, Refusal};
pub use jitter::Jitter;
pub use line::{Lane, Line, Ticket};
pub use model::Model;
pub use moment::Moment;
pub use pacer::{Departure, Due, Feedback, Pacer};
pub use quota::Quota;
pub use recovery::{Recovery, Share};
pub use schedule::Schedule;
pub use unsafe_quota::{TooHeavy, UnsafeQuota};
pub use window::{Room, Window};
