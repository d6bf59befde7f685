//! What the line and the permits share state by, here.

use std::cell::Cell;
use std::sync::LockResult;

pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic::AtomicU64;

/// A lock that counts how often it is taken.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

thread_local! {
    static LOCKED: Cell<usize> = const { Cell::new(0) };
}

/// How often a lock was taken so far.
pub(crate) fn locked() -> usize {
    LOCKED.get()
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        LOCKED.set(LOCKED.get() + 1);
        self.0.lock()
    }
}
