//! Reads what came back: from a response to what may be said of an operation.

mod answer;
mod body;
mod cause;
mod failure;
mod header;
mod outcome;
mod reading;
mod take;

pub(crate) use answer::{Answer, Errors};
#[cfg(feature = "client")]
pub(crate) use body::bounded;
pub use cause::Cause;
#[cfg(feature = "client")]
pub(crate) use cause::Kind;
pub use failure::Failure;
#[cfg(feature = "client")]
pub(crate) use header::REQUEST_ID;
pub use outcome::{Outcome, Rejection};
pub(crate) use reading::{Reading, read};
#[cfg(feature = "client")]
pub(crate) use reading::{is_of_the_api, not_json};
