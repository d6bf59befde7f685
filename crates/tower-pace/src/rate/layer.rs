use std::hash::Hash;
use std::time::Duration;

use http::Request;
use pacing::{Quota, UnsafeQuota};
use tower_layer::Layer;

use super::service::Settings;
use super::shared::SharedLimits;
use super::{Handle, Keyed, RateLimit, Single};
use crate::classifier::Classifier;
use crate::wait::{BoundedWait, UnboundedWait, WaitPolicy};

/// Applies [`RateLimit`]: spaces requests so that a server with this [`Quota`] throttles none.
///
/// [`new`](Self::new) creates the state. Clones of the layer, and the services of all of them,
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
/// A clone with a bounded wait still shares the state, and the requests of both wait in one queue:
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
    /// Returns a layer with a state of its own, whose requests wait without an upper bound.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with(quota, Single)
    }
}

impl<K: Clone + Eq + Hash, F> RateLimitLayer<UnboundedWait, Keyed<K, F>> {
    /// Returns a layer with one limit of `quota` for each key, such as a host, tenant or endpoint.
    /// Up to 1,024 keys have a limit of their own; see [`Keyed`].
    ///
    /// ```
    /// use http::Request;
    /// use tower::{Layer, ServiceExt};
    /// use tower_pace::{Quota, RateLimitLayer};
    /// # use std::convert::Infallible;
    /// # async fn answer(_: Request<String>) -> Result<http::Response<String>, Infallible> {
    /// #     Ok(http::Response::default())
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let client = tower::service_fn(answer);
    ///
    /// let by_server = |request: &Request<String>| request.uri().authority().cloned();
    /// let layer = RateLimitLayer::keyed(Quota::per_second(10), by_server).max_keys(100);
    ///
    /// let request = Request::get("http://example.com:8080/").body(String::new()).unwrap();
    /// layer.layer(client).oneshot(request).await.unwrap();
    /// let of_server = layer.handle_of(&"example.com:8080".parse().ok()).unwrap();
    /// assert_eq!(of_server.snapshot().counters.departed, 1);
    /// # }
    /// ```
    ///
    /// [`docs::applications`](crate::docs::applications#one-limit-for-each-tenant-or-host) has a
    /// recipe whose types are named.
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
                common: scope.new_limit(None),
                scope,
                ..self.settings
            },
        }
    }

    /// Sets the meaning of responses and errors beyond the defaults: which responses throttle, and
    /// which errors prove that nothing was sent. Give the same one to the
    /// [`RetryLayer`](crate::RetryLayer::classifier).
    ///
    /// The layer has a state of its own: clones that were made before, and their services, keep
    /// theirs.
    #[must_use]
    pub fn classifier(self, classifier: Classifier) -> Self {
        let scope = self.settings.scope.classified(classifier);
        Self {
            settings: Settings {
                common: scope.new_limit(None),
                scope,
                ..self.settings
            },
        }
    }

    /// Shares the limits with all processes that use the same store and names, as
    /// [`shared`](RateLimitLayer::<W>::shared) does for one limit.
    ///
    /// The limit of a key has the name `{name}/{name_of(key)}`. The limit of the layer, for keys
    /// beyond [`max_keys`](Self::max_keys), has the name `name`.
    ///
    /// # Errors
    ///
    /// Fails if the round trips to the store are too slow for the quota; see
    /// [`SharedLimits::check`].
    pub fn shared(
        self,
        name: &str,
        limits: &SharedLimits,
        name_of: impl Fn(&K) -> String + Send + Sync + 'static,
    ) -> Result<Self, UnsafeQuota> {
        let scope = self.settings.scope.shared(name, limits, name_of)?;
        Ok(Self {
            settings: Settings {
                common: scope.new_limit(None),
                scope,
                ..self.settings
            },
        })
    }

    /// Returns the handle of a key's limit, if the key has one of its own now.
    #[must_use]
    pub fn handle_of(&self, key: &K) -> Option<Handle> {
        self.settings.scope.known(key)
    }
}

impl<W> RateLimitLayer<W> {
    /// Sets the meaning of responses and errors beyond the defaults: which responses throttle, and
    /// which errors prove that nothing was sent. Give the same one to the
    /// [`RetryLayer`](crate::RetryLayer::classifier).
    ///
    /// The layer has a state of its own: clones that were made before, their services and their
    /// handles keep theirs.
    ///
    /// ```
    /// use tower_pace::retry::Verdict;
    /// use tower_pace::{Classifier, Quota, RateLimitLayer};
    ///
    /// let classifier = Classifier::new()
    ///     .classify(|status, _| (status == 420).then_some(Verdict::Throttled));
    /// let layer = RateLimitLayer::new(Quota::per_second(10)).classifier(classifier);
    /// assert_eq!(layer.handle().snapshot().quota, Quota::per_second(10));
    /// ```
    #[must_use]
    pub fn classifier(self, classifier: Classifier) -> Self {
        let quota = self.settings.common.configured();
        Self {
            settings: Settings {
                common: Handle::of(quota, classifier),
                ..self.settings
            },
        }
    }

    /// Shares the limit with all processes that use the same store and name.
    ///
    /// All of them should state the same quota; otherwise the slowest one holds. The layer has a
    /// state of its own, as after [`classifier`](Self::classifier).
    ///
    /// A request departs at a time that the store hands out, at most 50 ms ahead. If the store is
    /// away, each process departs at an equal part of the limit, and returns to the store by
    /// itself; [`Snapshot::shared`](super::Snapshot::shared) shows that. A store that knows nothing
    /// of the limit makes the first request wait for one window, unless the quota is
    /// [`unused_at_start`](Quota::unused_at_start).
    ///
    /// The store knows nothing of answers. So a sliding log and a fixed window are paced as an
    /// unknown server is, the jitter is not learned, and a cost that is settled later corrects the
    /// guard of this process only.
    ///
    /// # Errors
    ///
    /// Fails if the round trips to the store are too slow for the quota; see
    /// [`SharedLimits::check`].
    pub fn shared(self, name: &str, limits: &SharedLimits) -> Result<Self, UnsafeQuota> {
        let quota = self.settings.common.configured();
        limits.check(&quota)?;
        let classifier = self.settings.common.classifier();
        Ok(Self {
            settings: Settings {
                common: Handle::shared(quota, classifier, name.into(), limits),
                ..self.settings
            },
        })
    }

    /// Returns a handle of the limit. Call it after [`classifier`](Self::classifier) and
    /// [`shared`](Self::shared), which return a layer with another limit.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.settings.common.clone()
    }
}

impl<K> RateLimitLayer<UnboundedWait, K> {
    fn with(quota: Quota, scope: K) -> Self {
        Self {
            settings: Settings {
                common: Handle::of(quota, Classifier::DEFAULT),
                scope,
                policy: UnboundedWait,
                explain: false,
            },
        }
    }
}

impl<W: WaitPolicy, K> RateLimitLayer<W, K> {
    /// Rejects a request that would have to wait behind `others` waiters. Zero means
    /// [`fail_fast`](Self::fail_fast).
    #[must_use]
    pub fn max_queued(self, others: usize) -> RateLimitLayer<BoundedWait, K> {
        self.bounded(|bounds| bounds.max_queued(others))
    }

    /// Rejects a request that would wait longer than `time`: at once if the forecast says so, and
    /// otherwise after `time`. The time in which the inner service is not ready counts. The very
    /// first request waits for the start of the limit in any case, at most 100 ms.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> RateLimitLayer<BoundedWait, K> {
        self.bounded(|bounds| bounds.max_wait(time))
    }

    /// Rejects a request that cannot depart at once.
    ///
    /// The first request of a limit or of a new key is an exception, since a limit starts with a
    /// wait of up to 100 ms. That request waits for it, and others that come meanwhile are
    /// rejected. The wait begins at the first request or snapshot.
    #[must_use]
    pub fn fail_fast(self) -> RateLimitLayer<BoundedWait, K> {
        self.max_wait(Duration::ZERO)
    }

    /// Inserts [`Waited`](crate::Waited) into the extensions of every response, even if its request
    /// did not wait.
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
