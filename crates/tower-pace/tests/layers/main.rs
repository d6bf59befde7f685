//! The contract of each layer, on paused time.

mod concurrency;
mod line;
mod order;
mod rate;
mod retry;
mod server;
mod shared;
