use std::hash::Hash;
use std::time::Duration;

use http::Request;
use pacing::Quota;
use tower_layer::Layer;

use super::service::Settings;
use super::{Handle, Keyed, RateLimit, Single};
use crate::wait::{BoundedWait, UnboundedWait, WaitPolicy};

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
pub struct RateLimitLayer<W = UnboundedWait, K = Single> {
    settings: Settings<W, K>,
}

impl RateLimitLayer {
    /// Returns a layer with a state of its own, whose requests wait for as long as it takes.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with(quota, Single)
    }
}

impl<K: Clone + Eq + Hash, F> RateLimitLayer<UnboundedWait, Keyed<K, F>> {
    /// Returns a layer that holds `quota` for each key by itself: for each host, tenant or endpoint. Up to 1,024 keys
    /// have a limit of their own; see [`Keyed`].
    ///
    /// ```
    /// use http::Request;
    /// use tower_pace::{Quota, RateLimitLayer};
    ///
    /// let by_server = |request: &Request<String>| request.uri().authority().cloned();
    /// let layer = RateLimitLayer::keyed(Quota::per_second(10), by_server).max_keys(100);
    /// let server = "example.com:8080".parse().ok();
    /// assert!(layer.handle_of(&server).is_none(), "not yet");
    /// ```
    #[must_use]
    pub fn keyed<B>(quota: Quota, key: F) -> Self
    where
        F: Fn(&Request<B>) -> K,
    {
        Self::with(quota, Keyed::new(quota, key))
    }
}

impl<W, K: Clone + Eq + Hash, F> RateLimitLayer<W, Keyed<K, F>> {
    /// Returns a layer in which up to `keys` keys have a limit of their own.
    ///
    /// It has a state of its own: clones that were made before, and their services, keep theirs.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        let scope = self.settings.scope.up_to(keys);
        Self {
            settings: Settings {
                common: Handle::of(scope.quota()),
                scope,
                ..self.settings
            },
        }
    }

    /// Returns the handle of a key's limit, if the key has one of its own now.
    #[must_use]
    pub fn handle_of(&self, key: &K) -> Option<Handle> {
        self.settings.scope.known(key)
    }
}

impl<W> RateLimitLayer<W> {
    /// Returns a handle, which looks at the limit and steers it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.settings.common.clone()
    }
}

impl<K> RateLimitLayer<UnboundedWait, K> {
    fn with(quota: Quota, scope: K) -> Self {
        Self {
            settings: Settings {
                common: Handle::of(quota),
                scope,
                policy: UnboundedWait,
                explain: false,
            },
        }
    }
}

impl<W: WaitPolicy, K> RateLimitLayer<W, K> {
    /// Refuses a request that would have to wait while `others` stand in the line. With zero that is
    /// [`fail_fast`](Self::fail_fast), which says what it means for the first request.
    #[must_use]
    pub fn max_queued(self, others: usize) -> RateLimitLayer<BoundedWait, K> {
        self.bounded(|bounds| bounds.max_queued(others))
    }

    /// Refuses a request at once if its turn is further away than `time` by the forecast, and otherwise when it has
    /// waited for `time`. The wait for an inner service that is not ready counts.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> RateLimitLayer<BoundedWait, K> {
        self.bounded(|bounds| bounds.max_wait(time))
    }

    /// Refuses a request that cannot leave at once.
    ///
    /// The first request of a limit cannot, nor that of a new key: a limit starts with a wait of 100 ms at most, from its
    /// first request or snapshot on and not from `new`. A snapshot that is taken so long before warms it, and
    /// `max_wait(Duration::from_millis(100))` lets it through.
    #[must_use]
    pub fn fail_fast(self) -> RateLimitLayer<BoundedWait, K> {
        self.max_wait(Duration::ZERO)
    }

    /// Puts [`Waited`](crate::Waited) into the extensions of every response, not only into those of requests that waited.
    #[must_use]
    pub fn explain(mut self) -> Self {
        self.settings.explain = true;
        self
    }

    fn bounded(
        self,
        set: impl FnOnce(BoundedWait) -> BoundedWait,
    ) -> RateLimitLayer<BoundedWait, K> {
        let Settings {
            common,
            scope,
            policy,
            explain,
        } = self.settings;
        RateLimitLayer {
            settings: Settings {
                common,
                scope,
                policy: set(policy.bounds()),
                explain,
            },
        }
    }
}

impl<S, W: WaitPolicy, K: Clone> Layer<S> for RateLimitLayer<W, K> {
    type Service = RateLimit<S, W, K>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.settings.clone())
    }
}
