use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Wake, Waker};

use crate::sync::Mutex;

/// Wakes the driver: limits do so under no lock, and the driver need not be polled yet.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<Signaled>,
}

#[derive(Default)]
struct Signaled {
    is_set: bool,
    waker: Option<Waker>,
}

impl Signal {
    /// Returns whether it was set since the last call. If not, `waker` is woken when it is.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if mem::take(&mut state.is_set) {
            return Poll::Ready(());
        }
        mem::swap(&mut state.waker, &mut waker);
        // The waker before is dropped without the lock: it may run any code.
        drop(state);
        Poll::Pending
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_set = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
