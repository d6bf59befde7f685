use crate::sync::{AtomicU64, Ordering};

/// Somebody holds the lock or stands in the line.
const HELD: u64 = 1 << 31;
/// The most that are counted.
pub(super) const MOST: u32 = (1 << 31) - 1;

/// How many permits are taken and how many there are, in one word, so that both can be known without a lock.
///
/// While nobody waits, a permit is taken and given back by one exchange of the word. Whoever takes the lock holds the
/// word first, and goes on holding it while somebody stands in the line: meanwhile permits change hands only under the
/// lock, so that none comes back between a look at the word and the wait that follows it.
#[derive(Debug)]
pub(super) struct InFlight(AtomicU64);

impl InFlight {
    pub(super) fn new(limit: u32) -> Self {
        Self(AtomicU64::new(word(limit, 0)))
    }

    /// Takes a permit, if there is one and the word is not held.
    #[inline]
    pub(super) fn take(&self) -> bool {
        self.exchange(|word| (taken(word) < limit(word)).then_some(word + 1))
    }

    /// Gives a permit back, unless the word is held.
    #[inline]
    pub(super) fn give_back(&self) -> bool {
        self.exchange(|word| Some(word - 1))
    }

    fn exchange(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        let change = |word| change(word).filter(|_| word & HELD == 0);
        let result = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        result.is_ok()
    }

    /// Keeps everyone without the lock out.
    pub(super) fn hold(&self) {
        self.0.fetch_or(HELD, Ordering::AcqRel);
    }

    /// Lets everyone in again.
    pub(super) fn release(&self) {
        self.0.fetch_and(!HELD, Ordering::AcqRel);
    }

    pub(super) fn taken(&self) -> u32 {
        taken(self.0.load(Ordering::Acquire))
    }

    /// Takes a permit under the lock, whether there is one or not.
    pub(super) fn take_held(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Gives a permit back under the lock.
    pub(super) fn give_back_held(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Changes the limit under the lock.
    pub(super) fn set_limit(&self, limit: u32) {
        let held = self.0.load(Ordering::Acquire);
        self.0
            .store(word(limit, taken(held)) | HELD, Ordering::Release);
    }
}

fn word(limit: u32, taken: u32) -> u64 {
    u64::from(limit) << 32 | u64::from(taken)
}

fn limit(word: u64) -> u32 {
    (word >> 32) as u32
}

fn taken(word: u64) -> u32 {
    (word & (HELD - 1)) as u32
}
