//! How many requests may be in flight, learned from their answers.

mod cohort;
mod floor;
mod limit;
mod settings;
mod steps;
mod trials;

pub use limit::{AdaptiveLimit, Answer, Sample};
pub use settings::Adaptive;
