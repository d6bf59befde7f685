//! The contract of each layer, on paused time.

mod absent_waiters;
mod adaptive;
mod bounded;
mod charged;
mod classifier;
mod concurrency;
#[cfg(feature = "tracing")]
mod events;
mod expired_deadline;
mod fairness;
mod fields;
mod handle;
mod inner_readiness;
mod keyed;
mod language_model;
mod layer_order;
mod long_windows;
mod many_waiters;
mod nested;
mod peer_defects;
mod permit_accounting;
mod permits;
mod polled_after_completion;
mod rate;
mod retry;
mod runtimes;
mod shared;
mod simulated_server;
#[cfg(feature = "tracing")]
mod spans;
#[cfg(feature = "tracing")]
mod subscribe;
mod support;
mod threads;
mod wait_queue;
mod wakers;
