use std::sync::atomic::{AtomicBool, Ordering};

/// What stands before the lock of a queue, for those who come while nobody waits.
pub(crate) trait Front {
    /// The lock was taken.
    fn locked(&self);

    /// The lock is about to be given back; somebody stands in the line, or nobody.
    fn unlocking(&self, has_line: bool);
}

/// Remembers whether somebody stood in the line. It decides nothing: whoever relies on it asks again under the lock.
#[derive(Debug, Default)]
pub(crate) struct Hint {
    has_line: AtomicBool,
}

impl Hint {
    pub(crate) fn has_line(&self) -> bool {
        self.has_line.load(Ordering::Relaxed)
    }
}

impl Front for Hint {
    fn locked(&self) {}

    fn unlocking(&self, has_line: bool) {
        self.has_line.store(has_line, Ordering::Relaxed);
    }
}
