use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Request;
use pacing::Quota;

use super::recent::Recent;
use super::{Handle, Scope};

/// How many keys have a limit of their own unless it is said otherwise.
const MOST_KEYS: usize = 1_024;

/// Requests of the same key fall under the same limit.
///
/// The number of limits is bounded. When a key is new and there are as many already, the least
/// recently used of the idle ones is forgotten: one that nobody waits for or has a handle on, and
/// that has nothing to remember, no request that may still count at the server, no gate, and no
/// quota that a handle set or the server stated. If all are busy, the new key shares the common
/// limit with all that found no place, for this request: the next one looks again.
///
/// # What it costs
///
/// A request takes the same time however many keys there are. For a new key 16 limits at most are
/// looked at, the least recently used first. One that is found busy is set aside until it is used
/// again: of those, eight are looked at each time, in turn, and eight of the others. While no more
/// than eight limits are busy at once, that finds the least recently used idle one wherever there
/// is one; beyond that it may be an idle one that was used later, or none where a later request
/// finds one.
pub struct Keyed<K, F> {
    key: Arc<F>,
    quota: Quota,
    limits: Arc<Mutex<Limits<K>>>,
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
            limits: Limits::up_to(MOST_KEYS),
        }
    }

    /// Returns the same keys and quota, with no limits yet and room for `keys` of them.
    pub(super) fn up_to(self, keys: usize) -> Self {
        Self {
            limits: Limits::up_to(keys),
            ..self
        }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    /// Returns the limit of a key, if it has one of its own now.
    pub(super) fn known(&self, key: &K) -> Option<Handle> {
        self.lock().by_key.look(key).cloned()
    }

    /// Keys may panic where they are hashed or compared, but not between two halves of a change, so
    /// a poisoned lock hides no damage.
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
        let (limit, forgotten) = self.lock().of(&key, self.quota);
        // The drop of a key may run foreign code, so the lock must not be held.
        drop(forgotten);
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

    /// Returns the limit of a key, a new one if there is room or an idle one can make some, and
    /// what was forgotten for it.
    fn of(&mut self, key: &K, quota: Quota) -> (Option<Handle>, Option<(K, Handle)>) {
        if let Some(known) = self.by_key.touch(key) {
            return (Some(known.clone()), None);
        }
        let is_full = self.by_key.len() >= self.most;
        let forgotten = is_full.then(|| self.by_key.take_idle(|limit| limit.is_idle(&quota)));
        let limit = (self.by_key.len() < self.most).then(|| Handle::of(quota));
        if let Some(limit) = &limit {
            self.by_key.insert(key.clone(), limit.clone());
        }
        (limit, forgotten.flatten())
    }
}

impl<K, F> Clone for Keyed<K, F> {
    /// By hand, since neither the key nor the function need be `Clone` for it.
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            quota: self.quota,
            limits: Arc::clone(&self.limits),
        }
    }
}

impl<K, F> fmt::Debug for Keyed<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}
