//! The contract of each layer, on paused time.

mod adaptive;
mod bounded;
mod concurrency;
mod line;
mod load;
mod mended;
mod order;
mod permits;
mod rate;
mod retry;
mod server;
mod shared;
mod storm;
