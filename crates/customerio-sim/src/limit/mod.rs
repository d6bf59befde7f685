//! Decides whether one more request fits a limit. Pure: `now` is an argument, counted from the simulator's start.

mod counter;
mod fixed_window;
mod limiter;
mod sliding_counter;
mod sliding_log;
mod spec;
#[cfg(test)]
mod tests;
mod token_bucket;

pub(crate) use limiter::{Limiter, Verdict};
pub use spec::{Limit, Model};
