//! How much may be sent: quotas by budget, and what was used of them, shared by whoever has a clone.

mod budget;
mod quotas;
mod shared;

pub use budget::Budget;
pub use shared::Limits;
