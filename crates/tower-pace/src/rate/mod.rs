//! Spaces requests so that a server whose limit is known throttles none of them.
//!
//! ```
//! use std::time::Duration;
//! use tower_pace::{Model, Quota, RateLimitLayer};
//!
//! let quota = Quota::per_second(100).model(Model::SlidingLog)?;
//! let layer = RateLimitLayer::new(quota).max_wait(Duration::from_secs(60));
//! assert!(layer.handle().snapshot().rate() < 100.0);
//! # Ok::<(), tower_pace::UnsafeQuota>(())
//! ```
//!
//! A request waits in its future, first come first served, until it departs. Clones share the
//! limit. The docs of each setting say when to use it; the three that matter most:
//!
//! | setting | when |
//! |---|---|
//! | [`Quota::model`](crate::Quota::model) | you know how the server counts; small quotas are used by half without it |
//! | [`max_wait`](RateLimitLayer::max_wait) | always, unless a request may wait for hours |
//! | [`Quota::max_transit`](crate::Quota::max_transit) | responses take longer than a second |
//!
//! A 429, or a 503 with `Retry-After`, pauses everyone who shares the limit. The rate then starts
//! at 80 % and climbs back. A [`Classifier`](crate::Classifier) adds other responses that throttle.
//! A [`Handle`] shows the state and changes the limit in use.
//!
//! [`docs::rate_limit`](crate::docs::rate_limit) has all settings, the effect of each response, and
//! the rule that keeps the limit.

mod charged;
mod events;
mod front;
mod future;
mod handle;
mod in_flight;
mod layer;
mod recent;
mod scope;
mod service;
pub mod shared;
mod snapshot;
mod state;

pub use charged::Charged;
pub use future::ResponseFuture;
pub use handle::Handle;
pub use layer::RateLimitLayer;
pub use pacing::fields::{StatedLimit, StatedUnit};
pub use scope::{Keyed, Scope, Single};
pub use service::RateLimit;
pub use snapshot::{Counters, HeldBy, Snapshot};
