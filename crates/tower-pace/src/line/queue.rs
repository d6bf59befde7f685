use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Lane, Line, Moment, Ticket};
use tokio::time::Instant;

use super::Patience;
use super::patience::Outlook;
use crate::clock::{Clock, LONGEST_TIMER, Reading};

/// How often a waiter looks again while only an answer can bring its turn. The answer wakes who is next; this is for
/// the case that the one who was woken never comes.
const RECHECK: Duration = Duration::from_millis(100);

/// What is waited for.
pub(crate) trait Resource {
    /// Whether the passing of time can make a claim due.
    const TIMED: bool;

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
    /// The last who asked was told to wait for an answer, so that every answer must wake who is next.
    awaited: bool,
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

    /// Looks at the resource and at how many stand in the line, or notes what concerns nobody who waits.
    pub(crate) fn with<T>(&self, note: impl FnOnce(&mut R, usize) -> T) -> T {
        let mut state = self.lock();
        let queued = state.line.len();
        note(&mut state.resource, queued)
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

impl<R: Resource> State<R> {
    /// The time, as far as it matters: where it can change nothing the clock need not be read.
    fn glance(&mut self) -> Moment {
        match self.clock.last() {
            Some(last) if !R::TIMED && self.line.is_empty() => last,
            _ => self.clock.read().moment,
        }
    }

    fn may_claim(&mut self, lane: Lane, place: Option<Standing>, now: Moment) -> bool {
        let next = match place {
            Some(place) => self.line.is_next(place.ticket, now),
            None => self.line.admits(lane, now),
        };
        next && self.due(now) == Due::Now
    }

    fn due(&mut self, now: Moment) -> Due {
        let due = self.resource.due(now);
        self.awaited = due == Due::OnAnswer;
        due
    }

    /// Lets one wait who may not claim, and says when it should look by itself.
    fn wait<W: Patience>(
        &mut self,
        lane: Lane,
        place: Option<Standing>,
        now: Reading,
        patience: &W,
        waker: &Waker,
    ) -> Result<(Standing, Instant), W::Refusal> {
        let due = self.due(now.moment);
        let ticket = place.map(|place| place.ticket);
        let ahead = ticket.map_or(self.line.len(), |ticket| self.line.ahead(ticket));
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let forecast = self.forecast(due, ahead, now.moment);
        let left = patience.judge(&self.outlook(place, now, forecast))?;
        let place = place.unwrap_or_else(|| self.join(lane, now));
        let expected = self.expected(due, ahead, now.moment);
        let expected = left.map_or(expected, |left| expected.min(now.moment + left));
        self.line.wait(place.ticket, expected, waker.clone());
        Ok((place, now.instant_of(expected)))
    }

    fn join(&mut self, lane: Lane, now: Reading) -> Standing {
        Standing {
            ticket: self.line.join(lane),
            since: now.moment,
        }
    }

    fn outlook(
        &self,
        place: Option<Standing>,
        now: Reading,
        forecast: Option<Duration>,
    ) -> Outlook {
        Outlook {
            now: now.instant,
            queued: self.line.len(),
            waited: place.map(|place| now.moment.since(place.since)),
            forecast,
        }
    }

    /// How long the turn takes to come if everyone ahead takes theirs; none if only an answer can tell.
    fn forecast(&self, due: Due, ahead: u32, now: Moment) -> Option<Duration> {
        let first = match due {
            Due::Now => Duration::ZERO,
            Due::At(due) => due.since(now),
            Due::OnAnswer => return None,
        };
        let behind = self.resource.interval(now).saturating_mul(ahead);
        Some(first.saturating_add(behind))
    }

    /// When one should look by itself: at its departure, and a grace later for each that may not come before it.
    fn expected(&self, due: Due, ahead: u32, now: Moment) -> Moment {
        let due = match due {
            Due::Now => now,
            Due::At(due) => due,
            Due::OnAnswer => now + RECHECK,
        };
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

    fn woken_by(&mut self, wake: Wake, now: Moment) -> Option<Waker> {
        if wake == Wake::IfAwaited && !self.awaited {
            return None;
        }
        self.line.wake_next(now)
    }
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
