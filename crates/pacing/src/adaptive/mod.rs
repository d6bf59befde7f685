//! How many requests may be in flight, learned from their answers.
//!
//! [`AdaptiveLimit`] grows by one for each round of answers while it is used, and by the round itself until it has met
//! its first resistance. A sign of overload lowers it by a tenth. So does latency that grew by more than a fifth over
//! its minimum: to where the minimum was, and a twentieth below, so that a queue that our requests have built up drains
//! and the minimum is seen again. If less in flight does not lower the latency, it is not our queue: then the minimum is
//! learned anew. All that a lowered limit cannot have influenced, the answers to what left before, is passed over.

mod limit;
mod round;
mod settings;

pub use limit::{AdaptiveLimit, Answer, Sample};
pub use settings::Adaptive;
