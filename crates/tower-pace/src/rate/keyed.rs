use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Request;
use pacing::Quota;

use super::{Handle, Scope};

/// How many keys have a limit of their own unless it is said otherwise.
const MOST_KEYS: usize = 1_024;

/// Requests of the same key fall under the same limit.
///
/// The number of limits is bounded. When a key is new and there are as many already, the least recently used of the idle
/// ones is forgotten: one that nobody waits for or has a handle on, and that has nothing to remember, no request that may
/// still count at the server, no gate, and no quota that a handle set or the server stated. If all are busy, the new key
/// shares the common limit with all that found no place.
pub struct Keyed<K, F> {
    registry: Arc<Registry<K, F>>,
}

struct Registry<K, F> {
    key: F,
    quota: Quota,
    limits: Mutex<Limits<K>>,
}

struct Limits<K> {
    by_key: HashMap<K, Limit>,
    most: usize,
    /// How often a limit was asked for, which tells the age of the last use.
    uses: u64,
}

struct Limit {
    handle: Handle,
    used: u64,
}

impl<K: Clone + Eq + Hash, F> Keyed<K, F> {
    pub(super) fn new(quota: Quota, key: F) -> Self {
        let limits = Limits {
            by_key: HashMap::new(),
            most: MOST_KEYS,
            uses: 0,
        };
        Self {
            registry: Arc::new(Registry {
                key,
                quota,
                limits: Mutex::new(limits),
            }),
        }
    }

    pub(super) fn set_most(&self, keys: usize) {
        self.lock().most = keys;
    }

    /// Returns the limit of a key, if it has one of its own now.
    pub(super) fn known(&self, key: &K) -> Option<Handle> {
        let limits = self.lock();
        limits.by_key.get(key).map(|limit| limit.handle.clone())
    }

    /// Nothing that could panic runs between two halves of a change, so a poisoned lock hides no damage.
    fn lock(&self) -> MutexGuard<'_, Limits<K>> {
        let limits = self.registry.limits.lock();
        limits.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B, K, F> Scope<B> for Keyed<K, F>
where
    K: Clone + Eq + Hash,
    F: Fn(&Request<B>) -> K,
{
    fn limit(&self, request: &Request<B>, common: &Handle) -> Handle {
        let key = (self.registry.key)(request);
        let mut limits = self.lock();
        let quota = &self.registry.quota;
        let forgotten = limits.make_room_for(&key, quota);
        let limit = limits.of(&key, *quota);
        drop(limits);
        // The drop of a key may run foreign code, so the lock must not be held.
        drop(forgotten);
        limit.unwrap_or_else(|| common.clone())
    }
}

impl<K: Clone + Eq + Hash> Limits<K> {
    /// Returns the limit of a key, a new one if there is room.
    fn of(&mut self, key: &K, quota: Quota) -> Option<Handle> {
        self.uses += 1;
        if self.by_key.len() < self.most && !self.by_key.contains_key(key) {
            let (handle, used) = (Handle::of(quota), self.uses);
            self.by_key.insert(key.clone(), Limit { handle, used });
        }
        let limit = self.by_key.get_mut(key)?;
        limit.used = self.uses;
        Some(limit.handle.clone())
    }

    /// Forgets the least recently used of the idle limits, if that is what a key needs.
    fn make_room_for(&mut self, key: &K, quota: &Quota) -> Option<(K, Limit)> {
        if self.by_key.len() < self.most || self.by_key.contains_key(key) {
            return None;
        }
        let idle = self
            .by_key
            .iter()
            .filter(|(_, limit)| limit.handle.is_idle(quota));
        let (oldest, _) = idle.min_by_key(|(_, limit)| limit.used)?;
        let oldest = oldest.clone();
        self.by_key.remove_entry(&oldest)
    }
}

impl<K, F> Clone for Keyed<K, F> {
    /// By hand, since neither the key nor the function need be `Clone` for it.
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
        }
    }
}

impl<K, F> fmt::Debug for Keyed<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}
