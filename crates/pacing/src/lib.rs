//! Decides when the next request may go, so that a server whose limit is known refuses none.
//!
//! This is arithmetic only: no I/O, no async, no clock and no randomness of its own. The time is an argument
//! ([`Moment`]), and so is the random generator. The crate `tower-pace` puts it under tower services.
//!
//! # Layout
//!
//! - [`Quota`] says what the server allows and what is assumed of the path to it.
//! - [`Pacer`] answers when a request may leave, and learns from every answer. Its parts are the [`Schedule`] (evenly
//!   spaced departures), the [`Window`] (what may still count at the server), the [`FlightCap`] (a blocked path must
//!   not flush a lump), the [`Gate`] (a refusal stops everyone) and the [`Recovery`] (the way back to the full rate).
//! - [`Line`] says who is next among those who wait.
//! - [`AdaptiveLimit`] learns from the answers how many requests may be in flight.
//! - [`fields`] reads what a server says of its limits.
//! - [`retry`] says what an answer means, how long to back off, and what `Retry-After` said.
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
