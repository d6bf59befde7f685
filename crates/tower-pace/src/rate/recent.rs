use std::collections::HashMap;
use std::hash::Hash;

/// The number of values of each list that are checked for an idle one. This finds the least
/// recently used idle one while at most this many are busy. More would slow down each new key.
const LOOKS: usize = 8;
/// No index.
const NONE: usize = usize::MAX;

/// Values by key, in the order of their last use. Each operation takes constant time, beside the
/// growth of the memory.
///
/// A value that was found busy is set aside, so that the next search continues behind it. The
/// values set aside were used less recently than all others. A value comes back when it is used.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    indices: HashMap<K, usize>,
    entries: Vec<Entry<K, V>>,
    in_use: List,
    aside: List,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    is_aside: bool,
    older: usize,
    newer: usize,
}

/// The ends of a list through the entries.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: usize,
    newest: usize,
    len: usize,
}

impl List {
    const EMPTY: Self = Self {
        oldest: NONE,
        newest: NONE,
        len: 0,
    };
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new() -> Self {
        Self {
            indices: HashMap::new(),
            entries: Vec::new(),
            in_use: List::EMPTY,
            aside: List::EMPTY,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the value of a key, without using it.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        let index = *self.indices.get(key)?;
        Some(&self.entries[index].value)
    }

    /// Returns the value of a key, and makes it the most recently used.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        let index = *self.indices.get(key)?;
        self.unlink(index);
        self.append(index, false);
        Some(&self.entries[index].value)
    }

    /// Adds the value of a key that has none, as the most recently used.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let index = self.entries.len();
        self.indices.insert(key.clone(), index);
        self.entries.push(Entry {
            key,
            value,
            is_aside: false,
            older: NONE,
            newer: NONE,
        });
        self.append(index, false);
    }

    /// Removes the least recently used idle value among eight of those set aside and eight of the
    /// others.
    pub(super) fn remove_idle(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<(K, V)> {
        let index = self
            .idle_aside(&is_idle)
            .or_else(|| self.idle_in_use(&is_idle))?;
        Some(self.remove(index))
    }

    fn idle_aside(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<usize> {
        let mut index = self.aside.oldest;
        for _ in 0..LOOKS.min(self.aside.len) {
            let entry = &self.entries[index];
            if is_idle(&entry.value) {
                return Some(index);
            }
            index = entry.newer;
        }
        // Up to eight are all checked each time, in the order of their use. Of more, each search
        // checks the next ones.
        if self.aside.len > LOOKS {
            for _ in 0..LOOKS {
                let index = self.aside.oldest;
                self.unlink(index);
                self.append(index, true);
            }
        }
        None
    }

    fn idle_in_use(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<usize> {
        for _ in 0..LOOKS.min(self.in_use.len) {
            let index = self.in_use.oldest;
            if is_idle(&self.entries[index].value) {
                return Some(index);
            }
            self.unlink(index);
            self.append(index, true);
        }
        None
    }

    fn remove(&mut self, index: usize) -> (K, V) {
        // Hashing and comparing keys is foreign code, which may panic: it runs before anything else
        // changes, so that no index is left that leads nowhere.
        self.indices.remove(&self.entries[index].key);
        let last = self.entries.len() - 1;
        if let Some(moved) = self.indices.get_mut(&self.entries[last].key) {
            *moved = index;
        }
        self.unlink(index);
        let removed = self.entries.swap_remove(index);
        // The last entry has taken the index, and its neighbors have to know.
        if let Some(moved) = self.entries.get(index) {
            let (older, newer, is_aside) = (moved.older, moved.newer, moved.is_aside);
            self.join(older, index, is_aside);
            self.join(index, newer, is_aside);
        }
        (removed.key, removed.value)
    }

    fn unlink(&mut self, index: usize) {
        let entry = &self.entries[index];
        let (older, newer, is_aside) = (entry.older, entry.newer, entry.is_aside);
        self.join(older, newer, is_aside);
        self.list(is_aside).len -= 1;
    }

    fn append(&mut self, index: usize, is_aside: bool) {
        self.entries[index].is_aside = is_aside;
        let newest = self.list(is_aside).newest;
        self.join(newest, index, is_aside);
        self.join(index, NONE, is_aside);
        self.list(is_aside).len += 1;
    }

    /// Makes two indices of a list neighbors; beside no index they are its ends.
    fn join(&mut self, older: usize, newer: usize, is_aside: bool) {
        match self.entries.get_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.list(is_aside).oldest = newer,
        }
        match self.entries.get_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.list(is_aside).newest = older,
        }
    }

    const fn list(&mut self, is_aside: bool) -> &mut List {
        match is_aside {
            true => &mut self.aside,
            false => &mut self.in_use,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Makes room for a new key where `most` are taken, as a limit by key does. Returns the key
    /// that was forgotten, and how many were looked at.
    fn admit(
        recent: &mut Recent<u32, u32>,
        key: u32,
        most: usize,
        is_idle: impl Fn(u32) -> bool,
    ) -> (Option<u32>, usize) {
        let looks = Cell::new(0);
        let mut forgotten = None;
        if recent.len() >= most {
            forgotten = recent.remove_idle(|&value| {
                looks.set(looks.get() + 1);
                is_idle(value)
            });
        }
        if recent.len() < most {
            recent.insert(key, key);
        }
        (forgotten.map(|(key, _)| key), looks.get())
    }

    fn full(keys: u32) -> Recent<u32, u32> {
        let mut recent = Recent::new();
        (0..keys).for_each(|key| recent.insert(key, key));
        recent
    }

    #[test]
    fn a_new_key_looks_at_as_many_whatever_the_number_of_keys() {
        for keys in [1_024, 10_000, 100_000] {
            let mut recent = full(keys);
            let most = keys as usize;
            for n in 0..100 {
                assert_eq!(admit(&mut recent, keys + n, most, |_| true), (Some(n), 1));
            }
            for n in 0..100 {
                let (forgotten, looks) = admit(&mut recent, 2 * keys + n, most, |_| false);
                assert_eq!(forgotten, None);
                assert!(looks <= 2 * LOOKS, "{looks} of {keys}");
            }
            assert_eq!(recent.len(), most);
        }
    }

    /// However many are busy, each look goes on where the last one ended.
    #[test]
    fn one_that_is_idle_is_found_in_the_end() {
        for idle in [0, 7, 8, 500, 999] {
            let mut recent = full(1_000);
            let mut new_keys = 1_000..;
            // All are set aside before one of them becomes idle.
            for _ in 0..1_000 / LOOKS {
                admit(&mut recent, new_keys.next().unwrap(), 1_000, |_| false);
            }
            let found = (0..=1_000 / LOOKS).find(|_| {
                let key = new_keys.next().unwrap();
                admit(&mut recent, key, 1_000, |value| value == idle).0 == Some(idle)
            });
            assert!(found.is_some(), "{idle}");
        }
    }

    #[test]
    fn what_is_used_again_is_no_longer_the_oldest() {
        let mut recent = full(3);
        assert_eq!(recent.get(&0), Some(&0));
        assert_eq!(recent.peek(&1), Some(&1));
        assert_eq!(recent.get(&9), None);
        let order: Vec<_> = std::iter::from_fn(|| recent.remove_idle(|_| true)).collect();
        assert_eq!(order, [(1, 1), (2, 2), (0, 0)]);
        assert_eq!((recent.len(), recent.peek(&1)), (0, None));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Use(u32),
        /// Makes busy what is idle, and idle what is busy.
        Turn(u32),
    }

    const MAX: usize = 24;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0..60_u32;
        let step = prop_oneof![
            3 => key.clone().prop_map(Step::Use),
            1 => key.prop_map(Step::Turn),
        ];
        vec(step, 0..400)
    }

    /// Keys in the order of their use, the least recent first.
    fn use_of(plain: &mut Vec<u32>, key: u32) {
        plain.retain(|known| *known != key);
        plain.push(key);
    }

    proptest! {
        /// While no more than eight are busy at once, it is the least recently used of all that are
        /// idle.
        #[test]
        fn it_agrees_with_a_plain_list(steps in steps()) {
            let (mut recent, mut plain) = (Recent::new(), Vec::new());
            let mut busy = HashSet::new();
            for step in steps {
                match step {
                    Step::Turn(key) => {
                        if !busy.remove(&key) && busy.len() < LOOKS {
                            busy.insert(key);
                        }
                    }
                    Step::Use(key) if recent.get(&key).is_some() => use_of(&mut plain, key),
                    Step::Use(key) => {
                        let oldest = plain.iter().copied().find(|key| !busy.contains(key));
                        let expected = oldest.filter(|_| plain.len() == MAX);
                        let (forgotten, looks) =
                            admit(&mut recent, key, MAX, |key| !busy.contains(&key));
                        prop_assert_eq!(forgotten, expected);
                        prop_assert!(looks <= 2 * LOOKS);
                        plain.retain(|key| Some(*key) != forgotten);
                        use_of(&mut plain, key);
                    }
                }
                prop_assert_eq!(recent.len(), plain.len());
                prop_assert!(plain.iter().all(|key| recent.peek(key) == Some(key)));
            }
        }

        /// However many are busy, none of them is forgotten, and the bounds hold.
        #[test]
        fn what_is_busy_stays(steps in steps()) {
            let mut recent = Recent::new();
            let (mut known, mut busy) = (HashSet::new(), HashSet::new());
            for step in steps {
                match step {
                    Step::Turn(key) => {
                        if !busy.remove(&key) {
                            busy.insert(key);
                        }
                    }
                    Step::Use(key) => {
                        if recent.get(&key).is_some() {
                            continue;
                        }
                        let (forgotten, looks) =
                            admit(&mut recent, key, MAX, |key| !busy.contains(&key));
                        prop_assert!(looks <= 2 * LOOKS);
                        if let Some(forgotten) = forgotten {
                            prop_assert!(!busy.contains(&forgotten) && known.remove(&forgotten));
                        }
                        if recent.peek(&key).is_some() {
                            known.insert(key);
                        }
                    }
                }
                prop_assert_eq!(recent.len(), known.len());
                prop_assert!(known.len() <= MAX);
                prop_assert!(known.iter().all(|key| recent.peek(key) == Some(key)));
            }
        }
    }
}
