use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use pacing::{Group, Moment, Position};
use tokio::time::Instant;

use super::Patience;
use super::lock::{Lock, Locked};
use super::state::{Resource, State};
use super::turn::{Caller, Standing, Turn, Wake, Woken};

/// The state that everyone who waits for one resource shares.
pub(crate) struct Queue<R: Resource> {
    state: Lock<R>,
}

impl<R: Resource> Queue<R> {
    pub(crate) fn new(resource: R, front: R::Front) -> Arc<Self> {
        Arc::new(Self {
            state: Lock::new(front, State::new(resource)),
        })
    }

    pub(crate) fn front(&self) -> &R::Front {
        self.state.front()
    }

    pub(crate) fn add_group(&self) -> Group {
        self.state.lock().line.add_group()
    }

    /// Asks for the turn of one who stands in the line, or of a newcomer. A newcomer joins only if
    /// it must wait, and if its patience allows that.
    pub(super) fn turn<W: Patience>(
        &self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        waker: &Waker,
    ) -> Result<Turn, W::Refusal> {
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        let now = state.glance();
        let (woken, turn) = match state.admit(caller, place, now) {
            Err(refusal) => (Woken::default(), Err(refusal)),
            Ok(()) if state.may_claim(caller, place, now) => {
                (Woken::default(), Ok(Turn::Come(now)))
            }
            Ok(()) => {
                let (woken, wait) = state.wait_after_absent(caller, place, now, &mut waker);
                (woken, wait.map(Turn::Wait))
            }
        };
        unlock(state, woken);
        turn
    }

    /// Claims what is due, if it still is and the holder of `place`, or a newcomer, is still next;
    /// then it stands in the line no more. `guard` wraps the claim before anyone is woken: a waker
    /// that panics must not lose it.
    pub(super) fn claim<W: Patience, G>(
        &self,
        caller: &Caller<R::Demand, W>,
        place: Option<&mut Standing>,
        guard: impl FnOnce(R::Claim) -> G,
    ) -> Option<G> {
        let mut state = self.state.lock();
        let now = state.glance();
        let standing = place.as_deref().copied();
        if state.admit(caller, standing, now).is_err() || !state.may_claim(caller, standing, now) {
            unlock(state, Woken::default());
            return None;
        }
        let claim = guard(state.resource.claim(caller.demand, now));
        if let Some(place) = place {
            place.ticket = state.line.serve(place.ticket);
        }
        let next = state.next(now);
        unlock(state, next);
        Some(claim)
    }

    /// Keeps the place of one who stands in the line, or gives one to a newcomer, while its inner
    /// service is not ready. Returns when its patience ends, if it does.
    pub(super) fn wait_stuck<W: Patience>(
        &self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        waker: &Waker,
    ) -> Result<(Standing, Option<Instant>), W::Refusal> {
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        let now = state.clock.read();
        let kept = state.wait_stuck(caller, place, now, &mut waker);
        let next = state.next(now.moment);
        unlock(state, next);
        kept
    }

    /// Takes the holder of `ticket` out of the line.
    pub(super) fn leave(&self, ticket: Position) {
        let mut state = self.state.lock();
        let now = state.clock.read().moment;
        let next = match state.line.leave(ticket) {
            true => state.next(now),
            false => Woken::default(),
        };
        unlock(state, next);
    }

    /// Changes the resource by `change`, which says whom that concerns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut R, Moment) -> Wake) {
        let mut state = self.state.lock();
        let now = state.glance();
        let wake = change(&mut state.resource, now);
        let next = state.woken_by(wake, now);
        unlock(state, next);
    }

    /// Looks at the resource and at how many stand in the line, or notes what concerns nobody who
    /// waits.
    pub(crate) fn with<T>(&self, note: impl FnOnce(&mut R, usize) -> T) -> T {
        let mut state = self.state.lock();
        let queued = state.line.len();
        note(&mut state.resource, queued)
    }

    /// Looks at a resource that changes with time.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut R, usize, Moment) -> T) -> T {
        let mut state = self.state.lock();
        let (now, queued) = (state.clock.read().moment, state.line.len());
        look(&mut state.resource, queued, now)
    }
}

/// Releases the lock, and then drops and wakes wakers.
///
/// A waker may run any code when it is cloned, woken or dropped, such as a call of the same layer,
/// so none of that happens under the lock: a caller that may have to wait brings a clone, the line
/// moves wakers in and out, and those that it moved out are used here. A clone that was not needed
/// is dropped when its owner's frame ends, which is later than this.
fn unlock<R: Resource>(mut state: Locked<'_, R>, woken: Woken) {
    let dropped = state.line.take_dropped();
    drop(state);
    drop(dropped);
    woken.wake();
}

impl<R: Resource> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
