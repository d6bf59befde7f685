//! Named JSON values: checked while they are serialized, and kept as the text that is sent.

mod fields;
mod finite;
mod members;
mod set;

pub use set::Attributes;
