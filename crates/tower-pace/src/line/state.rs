use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Lane, Line, Moment};
use tokio::time::Instant;

use super::Patience;
use super::patience::Outlook;
use super::queue::{Standing, Wake};
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

/// What the lock of a queue guards.
pub(super) struct State<R> {
    pub(super) clock: Clock,
    pub(super) line: Line<Waker>,
    pub(super) resource: R,
    /// The last who asked was told to wait for an answer, so that every answer must wake who is next.
    awaited: bool,
}

impl<R: Resource> State<R> {
    pub(super) fn new(resource: R) -> Self {
        Self {
            clock: Clock::default(),
            line: Line::default(),
            resource,
            awaited: false,
        }
    }

    /// The time, as far as it matters: where it can change nothing the clock need not be read.
    pub(super) fn glance(&mut self) -> Moment {
        match self.clock.last() {
            Some(last) if !R::TIMED && self.line.is_empty() => last,
            _ => self.clock.read().moment,
        }
    }

    pub(super) fn may_claim(&mut self, lane: Lane, place: Option<Standing>, now: Moment) -> bool {
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
    pub(super) fn wait<W: Patience>(
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

    pub(super) fn join(&mut self, lane: Lane, now: Reading) -> Standing {
        Standing {
            ticket: self.line.join(lane),
            since: now.moment,
        }
    }

    pub(super) fn outlook(
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
    pub(super) fn next(&mut self, now: Moment) -> Option<Waker> {
        if self.line.is_empty() || self.due(now) == Due::OnAnswer {
            return None;
        }
        self.line.wake_next(now)
    }

    pub(super) fn woken_by(&mut self, wake: Wake, now: Moment) -> Option<Waker> {
        if wake == Wake::IfAwaited && !self.awaited {
            return None;
        }
        self.line.wake_next(now)
    }
}
