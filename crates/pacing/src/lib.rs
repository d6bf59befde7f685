//! Decides when the next request may depart, so that a server with a known limit throttles none.
//!
//! ```
//! use pacing::{Due, Feedback, Moment, Limiter, Quota};
//!
//! let mut limiter = Limiter::new(Quota::per_second(100));
//! let mut now = Moment::ORIGIN; // your clock
//! while let Due::At(due) = limiter.due(now) {
//!     now = due; // sleep until then
//! }
//! let departure = limiter.depart(now); // send the request
//! limiter.answer(departure, now, Feedback::Accepted); // report the response
//! ```
//!
//! This crate is arithmetic: it has no I/O, no async, no clock and no random numbers of its own.
//! The time and the random generator are arguments. To limit a tower service, use the crate
//! `tower-pace`, which is built on this one.
//!
//! Three settings of a [`Quota`] matter most:
//!
//! - [`model`](Quota::model): the way in which the server counts. A named model doubles the rate of
//!   a limit of 1 per second.
//! - [`max_transit`](Quota::max_transit): the longest time until a request reaches the server.
//!   A lower value helps if answers are slow.
//! - [`and`](Quota::and): a second limit, for instance per hour.
//!
//! # Parts
//!
//! | part | decides |
//! |---|---|
//! | [`Quota`], [`Cost`] | what the server allows, and what one request takes of it |
//! | [`Limiter`] | when a request may depart; it learns from every response |
//! | [`WaitQueue`] | which waiter is next |
//! | [`AdaptiveLimit`] | how many requests may be in flight, by the latency at other limits |
//! | [`fields`] | what the `RateLimit` header fields of a response state |
//! | [`shared`] | how several processes share one quota through a store |
//! | [`retry`] | whether to send a request again, after how long, and what `Retry-After` asks for |
//!
//! The [guide] explains the rules of the limiter. It has tables of the throughput, and the proof
//! that no request is throttled.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod adaptive;
mod allowance;
mod cap;
mod ceiling;
mod conditions;
mod cost;
mod credit;
mod departure;
mod error;
pub mod fields;
mod gate;
pub mod guide;
mod highest_cost;
mod hold;
mod jitter;
mod limit_state;
mod limiter;
mod moment;
mod path;
mod policy;
mod quota;
mod recovery;
pub mod retry;
mod schedule;
pub mod shared;
mod slots;
mod unit;
mod wait_queue;
mod window;

pub use adaptive::{Adaptive, AdaptiveLimit, Answer, Sample};
pub use cost::Cost;
pub use departure::Departure;
pub use error::{TooHeavy, UnsafeQuota};
pub use hold::{Hold, HoldCause};
pub use limiter::{Due, Feedback, Limiter};
pub use moment::Moment;
pub use quota::{Model, Quota};
pub use wait_queue::{Group, Position, WaitQueue};
