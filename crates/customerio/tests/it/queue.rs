//! The queue on paused time, before a scripted API.

mod api;
mod failures;
mod lifetime;
mod order;
mod outage;
mod p_queue;
