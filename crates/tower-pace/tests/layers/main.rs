//! The contract of each layer, on paused time.

mod adaptive;
mod bounded;
mod classifier;
mod concurrency;
mod ended;
#[cfg(feature = "tracing")]
mod events;
mod fields;
mod handle;
mod keyed;
mod late;
mod line;
mod load;
mod mended;
mod order;
mod parked;
mod peers;
mod permits;
mod rate;
mod retry;
mod scale;
mod server;
mod shared;
mod storm;
mod threads;
mod turns;
mod twice;
mod wakers;
