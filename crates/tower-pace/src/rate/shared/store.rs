use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pacing::shared::{Call, Reply};

/// Keeps the state of the quotas that several processes share, in one place with one clock.
///
/// The crate `tower-pace-redis` is one, on Redis or Valkey. Another store applies
/// [`Record::apply`](pacing::shared::Record::apply) to the record of each call's name, in one
/// atomic step, with its own clock.
pub trait SharedStore {
    /// The error of a call.
    type Error: Error;

    /// Returns the slowest of the round trips that were measured when the store was connected.
    fn round_trip(&self) -> Duration;

    /// Makes these calls in one round trip, and returns as many replies, in the same order.
    ///
    /// The future may be dropped at any time; the caller drops it after 250 ms. A call that was
    /// dropped may still reach the store: its departure times are lost. The store reconnects by
    /// itself.
    fn call(
        &self,
        calls: &[NamedCall],
    ) -> impl Future<Output = Vec<Result<Reply, Self::Error>>> + Send;
}

/// A call for the quota of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedCall {
    /// The name of the quota. All processes that share it use the same.
    pub name: Arc<str>,
    /// What the process asks for.
    pub call: Call,
}

impl NamedCall {
    /// Returns a call for the quota of this name.
    #[must_use]
    pub fn new(name: Arc<str>, call: Call) -> Self {
        Self { name, call }
    }
}
