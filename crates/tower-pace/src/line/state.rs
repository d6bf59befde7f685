use std::fmt;
use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Lane, Line, Moment};
use tokio::time::Instant;

use super::Patience;
use super::front::Front;
use super::patience::Outlook;
use super::turn::{Caller, Standing, Wait, Wake};
use super::waited::Cause;
use crate::clock::{Clock, LONGEST_TIMER, Reading};

/// How often a waiter looks again while only an answer can bring its turn. The answer wakes who is next; this is for
/// the case that the one who was woken never comes.
const RECHECK: Duration = Duration::from_millis(100);

/// What is waited for.
pub(crate) trait Resource {
    /// Whether the passing of time can make a claim due.
    const TIMED: bool;

    /// How much one asks for; the default is the least.
    type Demand: Copy + Default + fmt::Debug;

    /// What a claim returns.
    type Claim;

    /// What stands before the lock.
    type Front: Front;

    /// Says when the next claim may be made.
    fn due(&mut self, demand: Self::Demand, now: Moment) -> Due;

    /// Takes what is due.
    fn claim(&mut self, demand: Self::Demand, now: Moment) -> Self::Claim;

    /// The time between two claims when many wait.
    fn interval(&self, now: Moment) -> Duration;

    /// Says whether so much can ever be claimed.
    fn fits(&self, _: Self::Demand) -> bool {
        true
    }

    /// Says what holds back who is next and was told `due`.
    fn cause(&mut self, _due: Due, _now: Moment) -> Cause {
        Cause::Acknowledged
    }
}

/// What the lock of a queue guards.
pub(super) struct State<R> {
    pub(super) clock: Clock,
    pub(super) line: Line<Waker>,
    pub(super) resource: R,
    /// Who is next was told to wait for an answer, so that every answer must wake it.
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

    /// Refuses a newcomer that asks for more than there ever is, if it may be refused.
    pub(super) fn admit<W: Patience>(
        &self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
    ) -> Result<(), W::Refusal> {
        match place {
            Some(_) => Ok(()),
            None => caller.patience.admit(|| self.resource.fits(caller.demand)),
        }
    }

    pub(super) fn may_claim<W>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        now: Moment,
    ) -> bool {
        let next = match place {
            Some(place) => self.line.is_next(place.ticket, now),
            None => self.line.admits(caller.lane, now),
        };
        next && self.tell(caller.demand, now) == Due::Now
    }

    /// Tells who is next when it may claim. What others are told does not matter: they may ask for less than it does.
    fn tell(&mut self, demand: R::Demand, now: Moment) -> Due {
        let due = self.resource.due(demand, now);
        self.awaited = due == Due::OnAnswer;
        due
    }

    /// Lets one wait who may not claim, and says when it should look by itself.
    pub(super) fn wait<W: Patience>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        waker: &Waker,
    ) -> Result<Wait, W::Refusal> {
        let reading = self.clock.read();
        let now = reading.moment;
        let ahead = place.map_or(self.line.len(), |place| self.line.ahead(place.ticket));
        let due = match ahead {
            0 => self.tell(caller.demand, now),
            _ => self.resource.due(caller.demand, now),
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let forecast = self.forecast(due, ahead, now);
        let left = caller
            .patience
            .judge(&self.outlook(place, reading, forecast))?;
        let standing = place.unwrap_or_else(|| self.join(caller.lane, now));
        let expected = self.expected(due, ahead, now);
        let expected = left.map_or(expected, |left| expected.min(now + left));
        self.line.wait(standing.ticket, expected, waker.clone());
        Ok(Wait {
            standing,
            cause: match ahead {
                0 => self.resource.cause(due, now),
                _ => Cause::Queued,
            },
            now,
            until: reading.instant_of(expected),
        })
    }

    /// Lets one wait whose inner service is not ready, and says when its patience ends, if it does.
    pub(super) fn wait_stuck<W: Patience>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        now: Reading,
        waker: &Waker,
    ) -> Result<(Standing, Option<Instant>), W::Refusal> {
        let left = caller.patience.judge(&self.outlook(place, now, None))?;
        let standing = place.unwrap_or_else(|| self.join(caller.lane, now.moment));
        self.line
            .wait_stuck(standing.ticket, now.moment, waker.clone());
        Ok((standing, left.map(|left| now.instant_in(left))))
    }

    fn join(&mut self, lane: Lane, now: Moment) -> Standing {
        Standing {
            ticket: self.line.join(lane),
            since: now,
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
    /// the turn, even of the least demand, there is nothing to do before it comes.
    pub(super) fn next(&mut self, now: Moment) -> Option<Waker> {
        if self.line.is_empty() || self.tell(R::Demand::default(), now) == Due::OnAnswer {
            return None;
        }
        self.line.wake_next(now)
    }

    pub(super) fn woken_by(&mut self, wake: Wake, now: Moment) -> Option<Waker> {
        match wake {
            Wake::Nobody => None,
            Wake::IfAwaited if !self.awaited => None,
            Wake::IfAwaited | Wake::Always => self.line.wake_next(now),
        }
    }
}
