//! Entries that are found by their keys and never move.
//!
//! They are in chunks of memory. Growth copies no entry and allocates one chunk; a chunk is
//! released once it has no entry. A `Vec` of entries would double, and keep its memory.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// The places of a chunk: one for each bit of [`Chunk::vacant`]. With more, an entry that is left
/// alone in its chunk would keep more memory. With fewer, the table of chunks, which is read for
/// each entry, would be too large for a cache.
const CHUNK: usize = u64::BITS as usize;

/// The entries. Vacant places are filled before it grows.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks with a vacant place, each once. The last one is filled next.
    open: Vec<usize>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    /// Gets a place when it is first used. A chunk without entries has no memory, unless it is the
    /// only one.
    places: Vec<Option<T>>,
    /// A bit for each place without an entry.
    vacant: u64,
}

/// The key of an entry. Once the entry is removed, another one may get the same key.
///
/// It has half the size of a pointer. There are fewer than 2^32 keys: more operations would take
/// a terabyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(NonZeroU32);

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            open: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn insert(&mut self, entry: T) -> Key {
        let index = self.open.last().copied().unwrap_or_else(|| {
            self.chunks.push(Chunk::new());
            self.open.push(self.chunks.len() - 1);
            self.chunks.len() - 1
        });
        let chunk = &mut self.chunks[index];
        let place = chunk.insert(entry);
        if chunk.is_full() {
            self.open.pop();
        }
        self.len += 1;
        Key::new(index, place)
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let chunk = self.chunks.get(key.chunk())?;
        chunk.places.get(key.place())?.as_ref()
    }

    /// Removes an entry.
    ///
    /// # Panics
    ///
    /// There is none with this key.
    pub(super) fn remove(&mut self, key: Key) -> T {
        let index = key.chunk();
        let chunk = &mut self.chunks[index];
        if chunk.is_full() {
            self.open.push(index);
        }
        let entry = chunk.remove(key.place());
        self.len -= 1;
        if self.len > 0 {
            chunk.release_if_empty();
        } else if self.chunks.len() > 1 {
            // The tables, too. A single chunk stays: one entry at a time then allocates nothing.
            *self = Self::new();
        }
        entry
    }
}

impl<T> Index<Key> for Slab<T> {
    type Output = T;

    fn index(&self, key: Key) -> &T {
        self.get(key).expect("the key is of an entry")
    }
}

impl<T> IndexMut<Key> for Slab<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        let entry = &mut self.chunks[key.chunk()].places[key.place()];
        entry.as_mut().expect("the key is of an entry")
    }
}

impl<T> Chunk<T> {
    fn new() -> Self {
        Self {
            places: Vec::new(),
            vacant: u64::MAX,
        }
    }

    fn is_full(&self) -> bool {
        self.vacant == 0
    }

    /// Inserts an entry in the first vacant place.
    fn insert(&mut self, entry: T) -> usize {
        let place = self.vacant.trailing_zeros() as usize;
        self.vacant &= !(1 << place);
        if self.places.is_empty() {
            self.places.reserve_exact(CHUNK);
        }
        match self.places.get_mut(place) {
            Some(vacant) => *vacant = Some(entry),
            None => self.places.push(Some(entry)),
        }
        place
    }

    fn remove(&mut self, place: usize) -> T {
        let entry = self.places[place].take().expect("the key is of an entry");
        self.vacant |= 1 << place;
        entry
    }

    fn release_if_empty(&mut self) {
        if self.vacant == u64::MAX {
            self.places = Vec::new();
        }
    }
}

impl Key {
    fn new(chunk: usize, place: usize) -> Self {
        let key = u32::try_from(chunk * CHUNK + place + 1).ok();
        Self(
            key.and_then(NonZeroU32::new)
                .expect("fewer than 2^32 operations fit in memory"),
        )
    }

    fn chunk(self) -> usize {
        self.index() / CHUNK
    }

    fn place(self) -> usize {
        self.index() % CHUNK
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn chunks_with_memory<T>(slab: &Slab<T>) -> usize {
        let chunks = slab.chunks.iter();
        chunks.filter(|chunk| chunk.places.capacity() > 0).count()
    }

    /// Fills and empties it again and again, beside a list of its entries.
    #[test]
    fn each_entry_is_found_by_its_key_and_no_empty_chunk_has_memory() {
        let mut random = StdRng::seed_from_u64(1);
        let (mut slab, mut entries) = (Slab::new(), Vec::<(Key, u32)>::new());
        for step in 0..100_000 {
            // Now mostly inserts, then mostly removals.
            let share = if step % 10_000 < 5_000 { 0.6 } else { 0.35 };
            if random.random_bool(share) {
                entries.push((slab.insert(step), step));
            } else if !entries.is_empty() {
                let (key, entry) = entries.swap_remove(random.random_range(0..entries.len()));
                assert_eq!(slab.remove(key), entry);
                assert_eq!(slab.get(key), None);
            }
            if step % 100 == 0 {
                assert!(entries.iter().all(|(key, entry)| slab[*key] == *entry));
                let mut used: Vec<_> = entries.iter().map(|(key, _)| key.chunk()).collect();
                used.sort_unstable();
                used.dedup();
                assert!(chunks_with_memory(&slab) <= used.len().max(1));
            }
        }
    }

    #[test]
    fn vacant_places_are_filled_before_it_grows() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..10 * CHUNK).map(|entry| slab.insert(entry)).collect();
        for key in keys.iter().step_by(2) {
            slab.remove(*key);
        }
        for entry in 0..5 * CHUNK {
            slab.insert(entry);
        }
        assert_eq!(slab.chunks.len(), 10);
    }

    #[test]
    fn an_empty_one_keeps_one_chunk_at_most() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..1_000).map(|entry| slab.insert(entry)).collect();
        for key in keys {
            slab.remove(key);
        }
        assert_eq!((slab.chunks.capacity(), slab.open.capacity()), (0, 0));
        for _ in 0..1_000 {
            let key = slab.insert(0);
            assert_eq!(slab.remove(key), 0);
        }
        assert_eq!(chunks_with_memory(&slab), 1);
    }
}
