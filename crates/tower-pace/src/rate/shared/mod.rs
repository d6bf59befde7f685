mod store;

pub use store::{NamedCall, SharedStore};
