use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Request;
use pacing::{Quota, UnsafeQuota};

use super::Handle;
use super::recent::Recent;
use super::shared::SharedLimits;
use crate::classifier::Classifier;

/// Selects the limit of a request: the one of its layer ([`Single`]), or one of several
/// ([`Keyed`]).
pub trait Scope<B>: Clone {
    /// Returns the limit of a request. `common` is that of the layer.
    fn limit(&self, request: &Request<B>, common: &Handle) -> Handle;
}

/// Selects the limit of the layer for all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Single;

impl<B> Scope<B> for Single {
    fn limit(&self, _: &Request<B>, common: &Handle) -> Handle {
        common.clone()
    }
}

/// The default number of keys with a limit of their own. Each may hold over a thousand slots, so a
/// larger default could take memory that the user does not expect.
const MAX_KEYS: usize = 1_024;

/// Selects one limit for each key of a request.
///
/// The number of limits is bounded. A new key beyond the bound takes the room of the least recently
/// used idle key. A limit is idle if it has no waiter, no handle and nothing to remember: no
/// request that may still count at the server, no closed gate, and no quota that a handle set or
/// the server stated. If no limit is idle, the request of the new key uses the limit of the layer,
/// which all keys without one share. Its next request tries again.
///
/// # Cost
///
/// The time of a request does not depend on the number of keys. For a new key, at most 16 limits
/// are looked at, the least recently used first. A busy limit is set aside until it is used again.
/// Each time, eight of those set aside are looked at, in turn, and eight others. While at most
/// eight limits are busy, this finds the least recently used idle one. Beyond that it may find an
/// idle one that was used later, or none although a later request finds one.
pub struct Keyed<K, F> {
    key: Arc<F>,
    quota: Quota,
    classifier: Classifier,
    shared: Option<SharedKeys<K>>,
    limits: Arc<Mutex<Limits<K>>>,
}

/// How the limits of keys are shared with other processes.
struct SharedKeys<K> {
    limits: SharedLimits,
    /// The name of the limit of the layer.
    name: Arc<str>,
    name_of: Arc<dyn Fn(&K) -> String + Send + Sync>,
}

struct Limits<K> {
    by_key: Recent<K, Handle>,
    most: usize,
}

impl<K: Clone + Eq + Hash, F> Keyed<K, F> {
    pub(super) fn new(quota: Quota, key: F) -> Self {
        Self {
            key: Arc::new(key),
            quota,
            classifier: Classifier::DEFAULT,
            shared: None,
            limits: Limits::up_to(MAX_KEYS),
        }
    }

    /// Returns the same keys and quota, with no limits yet and room for `keys` of them.
    pub(super) fn up_to(self, keys: usize) -> Self {
        Self {
            limits: Limits::up_to(keys),
            ..self
        }
    }

    /// Returns the same keys, quota and bound, with no limits yet, whose limits have a classifier.
    pub(super) fn classified(self, classifier: Classifier) -> Self {
        let most = self.lock().most;
        Self {
            classifier,
            limits: Limits::up_to(most),
            ..self
        }
    }

    /// Returns the same keys, quota and bound, with no limits yet, whose limits are shared.
    pub(super) fn shared(
        self,
        name: &str,
        limits: &SharedLimits,
        name_of: impl Fn(&K) -> String + Send + Sync + 'static,
    ) -> Result<Self, UnsafeQuota> {
        limits.check(&self.quota)?;
        let most = self.lock().most;
        Ok(Self {
            shared: Some(SharedKeys {
                limits: limits.clone(),
                name: name.into(),
                name_of: Arc::new(name_of),
            }),
            limits: Limits::up_to(most),
            ..self
        })
    }

    /// Returns the handle of a new limit: that of a key, or that of the layer.
    pub(super) fn new_limit(&self, key: Option<&K>) -> Handle {
        let classifier = self.classifier.clone();
        let Some(shared) = &self.shared else {
            return Handle::of(self.quota, classifier);
        };
        let name = match key {
            Some(key) => format!("{}/{}", shared.name, (shared.name_of)(key)).into(),
            None => Arc::clone(&shared.name),
        };
        Handle::shared(self.quota, classifier, name, &shared.limits)
    }

    /// Returns the limit of a key, if it has one of its own now.
    pub(super) fn known(&self, key: &K) -> Option<Handle> {
        self.lock().by_key.peek(key).cloned()
    }

    /// Acquires the lock. Keys may panic when they are hashed or compared, but not between two
    /// halves of a change, so a poisoned lock hides no damage.
    fn lock(&self) -> MutexGuard<'_, Limits<K>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B, K, F> Scope<B> for Keyed<K, F>
where
    K: Clone + Eq + Hash,
    F: Fn(&Request<B>) -> K,
{
    fn limit(&self, request: &Request<B>, common: &Handle) -> Handle {
        let key = (self.key)(request);
        let (limit, removed) = self
            .lock()
            .of(&key, &self.quota, || self.new_limit(Some(&key)));
        // The drop of a key may run any code, so it happens without the lock.
        drop(removed);
        limit.unwrap_or_else(|| common.clone())
    }
}

impl<K: Clone + Eq + Hash> Limits<K> {
    fn up_to(most: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            by_key: Recent::new(),
            most,
        }))
    }

    /// Returns the limit of a key, if there is room for it, and the idle limit that was removed for
    /// it.
    fn of(
        &mut self,
        key: &K,
        quota: &Quota,
        new_limit: impl FnOnce() -> Handle,
    ) -> (Option<Handle>, Option<(K, Handle)>) {
        if let Some(known) = self.by_key.get(key) {
            return (Some(known.clone()), None);
        }
        let is_full = self.by_key.len() >= self.most;
        let removed = is_full.then(|| self.by_key.remove_idle(|limit| limit.is_idle(quota)));
        let limit = (self.by_key.len() < self.most).then(new_limit);
        if let Some(limit) = &limit {
            self.by_key.insert(key.clone(), limit.clone());
        }
        (limit, removed.flatten())
    }
}

impl<K, F> Clone for Keyed<K, F> {
    // By hand: a derive would demand that the key and the function are `Clone`.
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            quota: self.quota,
            classifier: self.classifier.clone(),
            shared: self.shared.clone(),
            limits: Arc::clone(&self.limits),
        }
    }
}

impl<K> Clone for SharedKeys<K> {
    // By hand: a derive would demand that the key is `Clone`.
    fn clone(&self) -> Self {
        Self {
            limits: self.limits.clone(),
            name: Arc::clone(&self.name),
            name_of: Arc::clone(&self.name_of),
        }
    }
}

impl<K, F> fmt::Debug for Keyed<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}
