use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Lane, Line, Moment, Ticket};
use tokio::time::Instant;

use crate::clock::Clock;

/// How often a waiter looks again while only an answer can bring its turn. The answer wakes who is next; this is for
/// the case that the one who was woken never comes.
const RECHECK: Duration = Duration::from_millis(100);
/// A timer is never set further ahead than this; the waiter then looks and sets it again.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// What is waited for.
pub(crate) trait Resource {
    /// What a claim returns.
    type Claim;

    /// Says when the next claim may be made.
    fn due(&mut self, now: Moment) -> Due;

    /// Takes what is due.
    fn claim(&mut self, now: Moment) -> Self::Claim;

    /// The time between two claims when many wait.
    fn interval(&self, now: Moment) -> Duration;
}

/// The state that everyone who waits for one resource shares.
pub(crate) struct Queue<R> {
    state: Mutex<State<R>>,
}

struct State<R> {
    clock: Clock,
    line: Line<Waker>,
    resource: R,
    /// Somebody was told to wait for an answer, so that the next answer must wake who is next.
    awaited: bool,
}

/// What a waiter is told when it asks for its turn.
pub(crate) enum Turn {
    /// It is due and next: whoever claims first has it.
    Come,
    /// It stands in the line with this ticket, and should look again at this instant.
    Wait(Ticket, Instant),
}

impl<R: Resource> Queue<R> {
    pub(crate) fn new(resource: R) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                clock: Clock::default(),
                line: Line::default(),
                resource,
                awaited: false,
            }),
        })
    }

    pub(crate) fn open_lane(&self) -> Lane {
        self.lock().line.open_lane()
    }

    /// Asks for the turn of the holder of `ticket`, or of a newcomer in `lane`. A newcomer joins only if it must wait.
    pub(crate) fn turn(&self, lane: Lane, ticket: Option<Ticket>, waker: &Waker) -> Turn {
        let mut state = self.lock();
        let now = state.clock.read();
        if state.may_claim(ticket, now.moment) {
            return Turn::Come;
        }
        let ticket = ticket.unwrap_or_else(|| state.line.join(lane));
        let expected = state.expected(ticket, now.moment);
        state.line.wait(ticket, expected, waker.clone());
        Turn::Wait(ticket, now.instant_of(expected))
    }

    /// Claims what is due, if it still is and the holder of `ticket`, or a newcomer, is still next.
    pub(crate) fn claim(&self, ticket: Option<Ticket>) -> Option<R::Claim> {
        let mut state = self.lock();
        let now = state.clock.read().moment;
        if !state.may_claim(ticket, now) {
            return None;
        }
        let claim = state.resource.claim(now);
        if let Some(ticket) = ticket {
            state.line.serve(ticket);
        }
        let next = state.next(now);
        drop(state);
        wake(next);
        Some(claim)
    }

    /// Keeps the place of the holder of `ticket`, or of a newcomer, while its inner service is not ready.
    pub(crate) fn wait_stuck(&self, lane: Lane, ticket: Option<Ticket>, waker: &Waker) -> Ticket {
        let mut state = self.lock();
        let now = state.clock.read().moment;
        let ticket = ticket.unwrap_or_else(|| state.line.join(lane));
        state.line.wait_stuck(ticket, now, waker.clone());
        let next = state.next(now);
        drop(state);
        wake(next);
        ticket
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
        drop(state);
        wake(next);
    }

    /// Changes the resource by `change`, which says whether a claim may have become due that was not.
    pub(crate) fn change(&self, change: impl FnOnce(&mut R, Moment) -> Freed) {
        let mut state = self.lock();
        let now = state.clock.read().moment;
        let freed = change(&mut state.resource, now);
        let next = state.woken_by(freed, now);
        drop(state);
        wake(next);
    }

    /// Every change of the state is complete before anything that could panic runs, so a poisoned lock hides no damage.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a change may have set free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// What somebody who waits for an answer may claim.
    Answer,
    /// What whoever is next may claim.
    Claim,
}

impl<R: Resource> State<R> {
    fn may_claim(&mut self, ticket: Option<Ticket>, now: Moment) -> bool {
        let next = match ticket {
            Some(ticket) => self.line.is_next(ticket, now),
            None => self.line.is_empty(),
        };
        next && self.due(now) == Due::Now
    }

    fn due(&mut self, now: Moment) -> Due {
        let due = self.resource.due(now);
        self.awaited |= due == Due::OnAnswer;
        due
    }

    /// When the holder of `ticket` should look by itself: its departure, and a grace for each that may not come before.
    fn expected(&mut self, ticket: Ticket, now: Moment) -> Moment {
        let due = match self.due(now) {
            Due::Now => now,
            Due::At(due) => due,
            Due::OnAnswer => now + RECHECK,
        };
        let ahead = u32::try_from(self.line.ahead(ticket)).unwrap_or(u32::MAX);
        let each = self.resource.interval(now) + Line::<Waker>::GRACE;
        (due + each.saturating_mul(ahead)).min(now + LONGEST_TIMER)
    }

    /// Wakes who is next: to claim what is due, or to set its timer for when it will be. Where only an answer brings
    /// the turn there is nothing to do before it comes.
    fn next(&mut self, now: Moment) -> Option<Waker> {
        if self.line.is_empty() || self.due(now) == Due::OnAnswer {
            return None;
        }
        self.line.wake_next(now)
    }

    fn woken_by(&mut self, freed: Freed, now: Moment) -> Option<Waker> {
        if freed == Freed::Answer && !self.awaited {
            return None;
        }
        self.awaited = false;
        self.line.wake_next(now)
    }
}

/// Wakers run foreign code, so the lock must not be held.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<R> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
