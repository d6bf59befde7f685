//! How many requests may be in flight, learned from their answers.

mod cohort;
mod limit;
mod settings;

pub use limit::{AdaptiveLimit, Answer, Sample};
pub use settings::Adaptive;
