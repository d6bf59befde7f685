use std::collections::HashMap;
use std::hash::Hash;

/// How many values of each list are looked at for one that is idle: enough to find the least
/// recently used one wherever no more than so many are busy at once, and few enough for every new
/// key.
const LOOKS: usize = 8;
/// Stands for no place.
const NONE: usize = usize::MAX;

/// Values by key, in the order of their last use. Every operation takes constant time, however many
/// values there are, but for the growth of the memory.
///
/// A value that was looked at and found busy is set aside, so that the next look goes on behind it.
/// What is set aside was used less recently than all else, and comes back when it is used.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    places: HashMap<K, usize>,
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
            places: HashMap::new(),
            entries: Vec::new(),
            in_use: List::EMPTY,
            aside: List::EMPTY,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the value of a key, which is no use of it.
    pub(super) fn look(&self, key: &K) -> Option<&V> {
        let place = *self.places.get(key)?;
        Some(&self.entries[place].value)
    }

    /// Returns the value of a key, which is the most recently used from now on.
    pub(super) fn touch(&mut self, key: &K) -> Option<&V> {
        let place = *self.places.get(key)?;
        self.unlink(place);
        self.append(place, false);
        Some(&self.entries[place].value)
    }

    /// Adds the value of a key that has none, as the most recently used.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let place = self.entries.len();
        self.places.insert(key.clone(), place);
        self.entries.push(Entry {
            key,
            value,
            is_aside: false,
            older: NONE,
            newer: NONE,
        });
        self.append(place, false);
    }

    /// Removes the least recently used value that is idle, as far as it is among the eight that are
    /// looked at of those set aside and the eight of the others.
    pub(super) fn take_idle(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<(K, V)> {
        let place = self
            .idle_aside(&is_idle)
            .or_else(|| self.idle_in_use(&is_idle))?;
        Some(self.remove(place))
    }

    fn idle_aside(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<usize> {
        let mut place = self.aside.oldest;
        for _ in 0..LOOKS.min(self.aside.len) {
            let entry = &self.entries[place];
            if is_idle(&entry.value) {
                return Some(place);
            }
            place = entry.newer;
        }
        // So few are all looked at each time, in the order of their use. Of more, the next ones
        // have their turn.
        if self.aside.len > LOOKS {
            for _ in 0..LOOKS {
                let place = self.aside.oldest;
                self.unlink(place);
                self.append(place, true);
            }
        }
        None
    }

    fn idle_in_use(&mut self, is_idle: impl Fn(&V) -> bool) -> Option<usize> {
        for _ in 0..LOOKS.min(self.in_use.len) {
            let place = self.in_use.oldest;
            if is_idle(&self.entries[place].value) {
                return Some(place);
            }
            self.unlink(place);
            self.append(place, true);
        }
        None
    }

    fn remove(&mut self, place: usize) -> (K, V) {
        // Hashing and comparing keys is foreign code, which may panic: it runs before anything else
        // changes, so that no place is left that leads nowhere.
        self.places.remove(&self.entries[place].key);
        let last = self.entries.len() - 1;
        if let Some(moved) = self.places.get_mut(&self.entries[last].key) {
            *moved = place;
        }
        self.unlink(place);
        let removed = self.entries.swap_remove(place);
        // The last entry has taken the place, and its neighbors have to know.
        if let Some(moved) = self.entries.get(place) {
            let (older, newer, is_aside) = (moved.older, moved.newer, moved.is_aside);
            self.join(older, place, is_aside);
            self.join(place, newer, is_aside);
        }
        (removed.key, removed.value)
    }

    fn unlink(&mut self, place: usize) {
        let entry = &self.entries[place];
        let (older, newer, is_aside) = (entry.older, entry.newer, entry.is_aside);
        self.join(older, newer, is_aside);
        self.list(is_aside).len -= 1;
    }

    fn append(&mut self, place: usize, is_aside: bool) {
        self.entries[place].is_aside = is_aside;
        let newest = self.list(is_aside).newest;
        self.join(newest, place, is_aside);
        self.join(place, NONE, is_aside);
        self.list(is_aside).len += 1;
    }

    /// Makes two places of a list neighbors; beside no place they are its ends.
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
            forgotten = recent.take_idle(|&value| {
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
        assert_eq!(recent.touch(&0), Some(&0));
        assert_eq!(recent.look(&1), Some(&1));
        assert_eq!(recent.touch(&9), None);
        let order: Vec<_> = std::iter::from_fn(|| recent.take_idle(|_| true)).collect();
        assert_eq!(order, [(1, 1), (2, 2), (0, 0)]);
        assert_eq!((recent.len(), recent.look(&1)), (0, None));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Use(u32),
        /// Makes busy what is idle, and idle what is busy.
        Turn(u32),
    }

    const MOST: usize = 24;

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
                    Step::Use(key) if recent.touch(&key).is_some() => use_of(&mut plain, key),
                    Step::Use(key) => {
                        let oldest = plain.iter().copied().find(|key| !busy.contains(key));
                        let expected = oldest.filter(|_| plain.len() == MOST);
                        let (forgotten, looks) =
                            admit(&mut recent, key, MOST, |key| !busy.contains(&key));
                        prop_assert_eq!(forgotten, expected);
                        prop_assert!(looks <= 2 * LOOKS);
                        plain.retain(|key| Some(*key) != forgotten);
                        use_of(&mut plain, key);
                    }
                }
                prop_assert_eq!(recent.len(), plain.len());
                prop_assert!(plain.iter().all(|key| recent.look(key) == Some(key)));
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
                        if recent.touch(&key).is_some() {
                            continue;
                        }
                        let (forgotten, looks) =
                            admit(&mut recent, key, MOST, |key| !busy.contains(&key));
                        prop_assert!(looks <= 2 * LOOKS);
                        if let Some(forgotten) = forgotten {
                            prop_assert!(!busy.contains(&forgotten) && known.remove(&forgotten));
                        }
                        if recent.look(&key).is_some() {
                            known.insert(key);
                        }
                    }
                }
                prop_assert_eq!(recent.len(), known.len());
                prop_assert!(known.len() <= MOST);
                prop_assert!(known.iter().all(|key| recent.look(key) == Some(key)));
            }
        }
    }
}
