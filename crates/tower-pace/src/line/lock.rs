use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use super::front::Front;
use super::state::{Resource, State};
use crate::sync::{Mutex, MutexGuard};

/// The state of a queue behind its lock, and what stands before that.
pub(super) struct Lock<R: Resource> {
    front: R::Front,
    state: Mutex<State<R>>,
}

/// The lock is held. Its drop tells the front whether somebody stands in the line.
pub(super) struct Locked<'a, R: Resource> {
    front: &'a R::Front,
    state: MutexGuard<'a, State<R>>,
}

impl<R: Resource> Lock<R> {
    pub(super) fn new(front: R::Front, state: State<R>) -> Self {
        Self {
            front,
            state: Mutex::new(state),
        }
    }

    pub(super) fn front(&self) -> &R::Front {
        &self.front
    }

    /// Nothing that could panic runs between two halves of a change, so a poisoned lock hides no damage.
    pub(super) fn lock(&self) -> Locked<'_, R> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.front.locked();
        Locked {
            front: &self.front,
            state,
        }
    }
}

impl<R: Resource> Drop for Locked<'_, R> {
    fn drop(&mut self) {
        self.front.unlocking(!self.state.line.is_empty());
    }
}

impl<R: Resource> Deref for Locked<'_, R> {
    type Target = State<R>;

    fn deref(&self) -> &State<R> {
        &self.state
    }
}

impl<R: Resource> DerefMut for Locked<'_, R> {
    fn deref_mut(&mut self) -> &mut State<R> {
        &mut self.state
    }
}
