//! Decides whether one more request fits a limit. Reads no clock: `now` is an argument, measured
//! from the simulator's start.

mod fixed_window;
mod limiter;
mod sliding_counter;
mod sliding_log;
mod spec;
#[cfg(test)]
mod tests;
mod token_bucket;

pub(crate) use limiter::{Decision, Limiter};
pub use spec::{Limit, Model};
