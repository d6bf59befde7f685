//! Shares a rate limit among several processes, through a store.
//!
//! [`SharedLimits`] are the limits of this process, and the caller spawns its [`SharedDriver`]. The
//! driver asks the [`SharedStore`] for departure times, as many as requests wait here. Everything
//! else of a [shared layer](crate::RateLimitLayer::shared) is the same: the queue, the bounds, the
//! handle, and the response to a throttled request.
//!
//! [`pacing::shared`] has the rule, and the proof that it keeps the limit.

mod driver;
mod limits;
mod signal;
mod state;
mod store;

pub use driver::SharedDriver;
pub(super) use limits::Process;
pub use limits::SharedLimits;
pub use pacing::shared::{Call, Reply, SharedStatus};
pub(super) use state::Shared;
pub use store::{NamedCall, SharedStore};
