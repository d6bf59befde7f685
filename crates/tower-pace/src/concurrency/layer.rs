use std::sync::Arc;

use tower_layer::Layer;

use super::Concurrency;
use super::permit::Permits;
use crate::line::Queue;

/// Applies [`Concurrency`]: at most so many requests in flight, to the end of the response's body.
///
/// The state belongs to the value that [`new`](Self::new) returned: its clones, and all services that it and they make,
/// share it. Another call of `new` shares nothing with it.
///
/// ```
/// use tower_pace::ConcurrencyLayer;
///
/// let layer = ConcurrencyLayer::new(32);
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    queue: Arc<Queue<Permits>>,
}

impl ConcurrencyLayer {
    /// Returns a layer that lets `limit` requests be in flight at once.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero, which would let nothing through.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a concurrency of 0 lets nothing through");
        Self {
            queue: Queue::new(Permits::new(limit)),
        }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, Arc::clone(&self.queue))
    }
}
