//! The contract of each layer, on paused time.

mod bounded;
mod concurrency;
mod line;
mod mended;
mod order;
mod rate;
mod retry;
mod server;
mod shared;
