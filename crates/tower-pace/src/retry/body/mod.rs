//! A request's body that can be sent again: what was read of it is kept, up to a limit.

mod error;
mod reader;
mod source;

pub use error::ReplayError;
pub use reader::ReplayBody;
pub(super) use source::Intact;
