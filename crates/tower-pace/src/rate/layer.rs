use std::sync::Arc;
use std::time::Duration;

use pacing::{Pacer, Quota};
use tower_layer::Layer;

use super::RateLimit;
use crate::line::{Bounds, Patience, Queue, Unbounded};

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
///
/// Bounded, a clone still shares the state, and the requests of both stand in one line:
///
/// ```
/// use std::time::Duration;
/// use tower_pace::{Quota, RateLimitLayer};
///
/// let batch = RateLimitLayer::new(Quota::per_second(100));
/// let interactive = batch.clone().max_wait(Duration::from_millis(250));
/// # assert!(format!("{interactive:?}").contains("250ms"));
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer<W = Unbounded> {
    queue: Arc<Queue<Pacer>>,
    patience: W,
}

impl RateLimitLayer {
    /// Returns a layer with a state of its own, whose requests wait for as long as it takes.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            queue: Queue::new(Pacer::new(quota)),
            patience: Unbounded,
        }
    }
}

impl<W: Patience> RateLimitLayer<W> {
    /// Refuses a request that would have to wait while `others` stand in the line.
    #[must_use]
    pub fn max_queued(self, others: usize) -> RateLimitLayer<Bounds> {
        self.bounded(|bounds| bounds.max_queued(others))
    }

    /// Refuses a request at once if its turn is further away than `time` by the forecast, and otherwise when it has
    /// waited for `time`. The wait for an inner service that is not ready counts.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> RateLimitLayer<Bounds> {
        self.bounded(|bounds| bounds.max_wait(time))
    }

    /// Refuses a request that cannot leave at once. The very first one cannot: a limiter starts with a short wait.
    #[must_use]
    pub fn fail_fast(self) -> RateLimitLayer<Bounds> {
        self.max_wait(Duration::ZERO)
    }

    fn bounded(self, set: impl FnOnce(Bounds) -> Bounds) -> RateLimitLayer<Bounds> {
        RateLimitLayer {
            patience: set(self.patience.bounds()),
            queue: self.queue,
        }
    }
}

impl<S, W: Patience> Layer<S> for RateLimitLayer<W> {
    type Service = RateLimit<S, W>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.queue), self.patience.clone())
    }
}
