//! Shares a rate limit among several processes, through a store.
//!
//! [`RateLimitLayer::shared`](crate::RateLimitLayer::shared) returns the layer and a
//! [`SharedDriver`], which the caller spawns. The driver asks the [`SharedStore`] for departure
//! times, as many as requests wait here. Everything else of the layer is the same: the queue, the
//! bounds, the handle, and the response to a throttled request.
//!
//! [`pacing::shared`] has the rule, and the proof that it keeps the limit.

mod driver;
mod state;
mod store;

pub(super) use driver::Limits;
pub use driver::SharedDriver;
pub use pacing::shared::{Call, Reply, SharedStatus};
pub(super) use state::Shared;
pub use store::{NamedCall, SharedStore};
