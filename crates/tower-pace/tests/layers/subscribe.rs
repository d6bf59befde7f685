//! Subscribers of one thread, although tests run on many.

use std::sync::Once;

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};
use tracing::{Event, Metadata, Subscriber};

/// Wants everything, and records nothing.
struct Everything;

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, _: &Event<'_>) {}
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Sends the events and spans of this thread to `subscriber`, until the guard is dropped.
///
/// `tracing` caches for each place in the code whether a subscriber wants its events. A test of
/// another thread, without a subscriber, may reach the place while this one subscribes. The cache
/// would then say that none wants them. A subscriber for all threads prevents that.
pub(crate) fn subscribe(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static EVERYTHING: Once = Once::new();
    EVERYTHING.call_once(|| set_global_default(Everything).unwrap());
    let guard = set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    guard
}
