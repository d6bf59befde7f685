//! The contract of each layer, on paused time.

mod bounded;
mod concurrency;
mod fields;
mod handle;
mod keyed;
mod line;
mod mended;
mod order;
mod rate;
mod retry;
mod scale;
mod server;
mod shared;
