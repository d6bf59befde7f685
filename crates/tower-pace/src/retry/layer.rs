use std::sync::{Arc, Mutex};

use pacing::retry::RetryPolicy;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tower_layer::Layer;

use super::Retry;
use crate::random;

/// Applies [`Retry`]: a request is sent again by a [`RetryPolicy`], when that is safe.
///
/// ```
/// use tower_pace::{RetryLayer, RetryPolicy};
///
/// let layer = RetryLayer::new(RetryPolicy::default().attempts(3));
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: RetryPolicy,
    rng: Arc<Mutex<SmallRng>>,
}

impl RetryLayer {
    /// Returns a layer whose jitter is seeded by the system. Clones share the generator, and nothing else.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            rng: Arc::new(Mutex::new(random::seeded_by_system())),
        }
    }

    /// Seeds the jitter, so that a test sees the same delays each time.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self {
            rng: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))),
            ..self
        }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.policy, Arc::clone(&self.rng))
    }
}
