//! A concurrency limit that is learned from the latency of responses.

mod cohort;
mod limit;
mod trials;

pub use limit::{Adaptive, AdaptiveLimit, Answer, Sample};
