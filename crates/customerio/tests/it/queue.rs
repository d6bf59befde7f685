//! The queue, before a scripted API: in memory on paused time, on a spool in real time.

mod api;
mod failures;
mod held_by;
mod lifetime;
mod order;
mod outage;
mod p_queue;
#[cfg(feature = "spool")]
mod spool;
