use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use pacing::{Lane, Moment, Ticket};
use tokio::time::Instant;

use super::Patience;
use super::state::{Resource, State};

/// The state that everyone who waits for one resource shares.
pub(crate) struct Queue<R> {
    state: Mutex<State<R>>,
}

/// A place in the line, and since when its holder waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) ticket: Ticket,
    pub(crate) since: Moment,
}

/// What a waiter is told when it asks for its turn.
pub(crate) enum Turn {
    /// It is due and next: whoever claims first has it.
    Come,
    /// It stands in the line, and should look again at this instant.
    Wait(Standing, Instant),
}

impl<R: Resource> Queue<R> {
    pub(crate) fn new(resource: R) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(resource)),
        })
    }

    pub(crate) fn open_lane(&self) -> Lane {
        self.lock().line.open_lane()
    }

    /// Asks for the turn of one who stands in the line, or of a newcomer in `lane`. A newcomer joins only if it must
    /// wait, and if its patience allows that.
    pub(crate) fn turn<W: Patience>(
        &self,
        lane: Lane,
        place: Option<Standing>,
        patience: &W,
        waker: &Waker,
    ) -> Result<Turn, W::Refusal> {
        let mut state = self.lock();
        let now = state.glance();
        if state.may_claim(lane, place, now) {
            unlock(state, None);
            return Ok(Turn::Come);
        }
        let now = state.clock.read();
        let turn = state.wait(lane, place, now, patience, waker);
        unlock(state, None);
        turn.map(|(place, until)| Turn::Wait(place, until))
    }

    /// Claims what is due, if it still is and the holder of `place`, or a newcomer, is still next; then it stands in the
    /// line no more. `guard` wraps the claim before anyone is woken: a waker that panics must not lose it.
    pub(crate) fn claim<G>(
        &self,
        lane: Lane,
        place: Option<Standing>,
        guard: impl FnOnce(R::Claim) -> G,
    ) -> Option<G> {
        let mut state = self.lock();
        let now = state.glance();
        if !state.may_claim(lane, place, now) {
            unlock(state, None);
            return None;
        }
        let claim = guard(state.resource.claim(now));
        if let Some(place) = place {
            state.line.serve(place.ticket);
        }
        let next = state.next(now);
        unlock(state, next);
        Some(claim)
    }

    /// Keeps the place of one who stands in the line, or gives one to a newcomer, while its inner service is not ready.
    /// Returns when its patience ends, if it does.
    pub(crate) fn wait_stuck<W: Patience>(
        &self,
        lane: Lane,
        place: Option<Standing>,
        patience: &W,
        waker: &Waker,
    ) -> Result<(Standing, Option<Instant>), W::Refusal> {
        let mut state = self.lock();
        let now = state.clock.read();
        let left = patience.judge(&state.outlook(place, now, None));
        let kept = left.map(|left| {
            let place = place.unwrap_or_else(|| state.join(lane, now));
            state
                .line
                .wait_stuck(place.ticket, now.moment, waker.clone());
            (place, left.map(|left| now.instant_in(left)))
        });
        let next = state.next(now.moment);
        unlock(state, next);
        kept
    }

    /// Takes the holder of `ticket` out of the line.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.lock();
        let now = state.clock.read().moment;
        let next = if state.line.leave(ticket) {
            state.next(now)
        } else {
            None
        };
        unlock(state, next);
    }

    /// Changes the resource by `change`, which says whom that concerns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut R, Moment) -> Wake) {
        let mut state = self.lock();
        let now = state.glance();
        let wake = change(&mut state.resource, now);
        let next = state.woken_by(wake, now);
        unlock(state, next);
    }

    /// Nothing that could panic runs between two halves of a change, so a poisoned lock hides no damage.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a change of the resource concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Whoever is next, if it was told to wait for an answer.
    IfAwaited,
    /// Whoever is next.
    Always,
}

/// Wakers run foreign code, when they wake and when they are dropped, so the lock must not be held.
fn unlock<R>(mut state: MutexGuard<'_, State<R>>, next: Option<Waker>) {
    let dropped = state.line.take_dropped();
    drop(state);
    drop(dropped);
    if let Some(waker) = next {
        waker.wake();
    }
}

impl<R> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
