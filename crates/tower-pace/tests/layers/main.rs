//! The contract of each layer, on paused time.

mod bounded;
mod concurrency;
mod line;
mod mended;
mod order;
mod permits;
mod rate;
mod retry;
mod server;
mod shared;
