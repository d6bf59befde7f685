use std::sync::Arc;

use pacing::{Pacer, Quota};
use tower_layer::Layer;

use super::RateLimit;
use crate::line::Queue;

/// Applies [`RateLimit`]: requests leave so that a server with this [`Quota`] refuses none.
///
/// The state belongs to the value that [`new`](Self::new) returned: its clones, and all services that it and they make,
/// share it. Another call of `new` shares nothing with it.
///
/// ```
/// use tower_pace::{Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::new(Quota::per_second(100));
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    queue: Arc<Queue<Pacer>>,
}

impl RateLimitLayer {
    /// Returns a layer with a state of its own.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            queue: Queue::new(Pacer::new(quota)),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.queue))
    }
}
