//! Shares one quota among several processes, through a store with one atomic step and a clock.
//!
//! Each process asks the store for departure times. The store keeps a [`Record`] of each quota, and
//! answers a [`Call`] with a [`Reply`]: departure times at most 50 ms ahead, or a wait. A process
//! keeps them as [`Reservations`], on its own clock, and departs without the store while it is
//! away.
//!
//! The crate `tower-pace-redis` runs [`Record::apply`] as a script in Redis. Another store that can
//! change a row in one step and has a clock can run it as it is: calls, replies and records are
//! plain values, with all times in microseconds of the store's clock.
//!
//! # Why no request is throttled
//!
//! The store hands out each departure time once, at the interval of an unknown server, with the
//! quota's [`jitter_ceiling`](crate::Quota::jitter_ceiling) J. Suppose that a call left at `sent`
//! and its reply came at `received`. The store's time in the reply was read in between, so its
//! departure time lies between `sent + d` and `received + d` on the local clock, where d is how far
//! it lies ahead of the store's time. It is used from `received + d`, so never early, until
//! `sent + d + J/2`, so at most J/2 late. The transit to the server may vary by the other half. A
//! departure time that is not used until then is lost: moved to a later time, it would be a burst.
//!
//! # While the store is away
//!
//! A process departs at an equal part of the quota, by the number of processes that the store has
//! counted last. The parts together keep the quota if a limit divided by the processes is at least
//! the highest cost; otherwise they keep it on average ([`SharedStatus::is_divisible`]). A process
//! that has never reached the store knows of no other, and departs by the whole quota, or by a
//! part for [`Reservations::least_processes`].
//!
//! The store holds all departures back for 750 ms when the processes come back together. If one
//! process alone does not reach the store, the others have the whole quota meanwhile, and the
//! server may throttle some requests. Of 8 busy processes at 100 requests per second, one to four
//! are throttled in the simulation until the gate and the lowered rate make room.

use std::time::Duration;

mod call;
mod record;
mod reservations;
mod terms;

pub use call::{Call, Reply, Throttled};
pub use record::Record;
pub use reservations::{InvalidReply, NextCall, Reservations, SharedStatus};
pub use terms::{SharedLimit, SharedQuota};

/// A call without a reply has failed after this time. With less, a short stall of the store ends
/// the shared limit; with more, requests wait longer for a store that is away.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// How far ahead of the store's clock a departure time may lie, in microseconds.
///
/// The clocks of processes drift, and a process may stop before it uses its times: both cost more
/// with a longer horizon. With a shorter one a process calls the store more often, and a round trip
/// takes a larger part of it.
pub const HORIZON: i64 = 50_000;
