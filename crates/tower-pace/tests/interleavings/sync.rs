//! The mutex and the atomics of the wait queue and the concurrency limit, from loom.

use std::cell::Cell;
use std::sync::LockResult;

pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic::AtomicU64;

/// A mutex that counts its acquisitions.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

thread_local! {
    static ACQUISITIONS: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of acquisitions on this thread.
pub(crate) fn acquisitions() -> usize {
    ACQUISITIONS.get()
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        ACQUISITIONS.set(ACQUISITIONS.get() + 1);
        self.0.lock()
    }
}
