//! Reads responses: from an HTTP response, or a failure without one, to outcomes of operations.

mod body;
mod cause;
mod failure;
mod header;
mod outcome;
mod reading;
mod text;

pub(crate) use body::{ErrorList, ResponseBody};
pub use cause::Cause;
#[cfg(feature = "client")]
pub(crate) use cause::Kind;
pub use failure::Failure;
#[cfg(feature = "client")]
pub(crate) use header::REQUEST_ID;
pub use outcome::{Outcome, Rejection};
pub(crate) use reading::{Reading, read};
#[cfg(feature = "client")]
pub(crate) use reading::{is_from_the_api, not_json};
#[cfg(feature = "client")]
pub(crate) use text::sanitize;
