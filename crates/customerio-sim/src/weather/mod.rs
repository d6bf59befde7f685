//! Draws what happens to each request on its way, from one seed, in the order of arrival.

mod chance;
mod dice;
mod fate;
mod forecast;
mod script;

pub use chance::Chance;
pub(crate) use dice::Dice;
pub use fate::When;
pub(crate) use fate::{Failure, Fate, Instead, Mishap};
pub use forecast::{Outage, Stall, Weather};
pub use script::{Script, Step};
