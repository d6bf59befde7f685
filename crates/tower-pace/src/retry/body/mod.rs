//! A request body that can be sent again: the frames that were read are kept, up to a limit.

mod error;
mod reader;
mod source;

pub use error::ReplayError;
pub use reader::ReplayBody;
pub(super) use source::BodyHandle;
