use std::fmt;
use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Group, Moment, WaitQueue};
use tokio::time::Instant;

use super::Patience;
use super::front::Front;
use super::patience::Outlook;
use super::turn::{Caller, Standing, Wait, Wake, Woken};
use super::waited::Cause;
use crate::clock::{Clock, LONGEST_TIMER, Reading};

/// How often a waiter looks again while only an answer can bring its turn. The answer wakes who is
/// next; this is for the case that the one who was woken never comes. A shorter time would cost
/// looks of all who wait, and a longer one is lost where nobody else looks.
const RECHECK: Duration = Duration::from_millis(100);
/// How much later than a grace after the head those behind it may look. It is more than the
/// [`RECHECK`] that is theirs while only an answer can make room, by as much as the nearest 16
/// need: with less they would be hastened anew each time.
const LATE: Duration = Duration::from_millis(200);
/// How many behind the head are hastened one by one if the nearest would be too late. Each is good
/// for about one departure, so fewer would be hastened more often, and more would crowd the lock.
const NEAREST: u32 = 16;
/// If a claim is due by so much earlier than the waiters were told, what all wait for has
/// changed at a stroke, as a quota or a gate does, and all are hastened. That is dear, so it must
/// not happen where departures only are sooner than foreseen. What was told counts, not when the
/// head looks: it may have been woken for another change and not have come.
const JUMP: Duration = Duration::from_secs(2);

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
    pub(super) line: WaitQueue<Waker>,
    pub(super) resource: R,
    /// Who is next was told to wait for an answer, so that every answer must wake it.
    awaited: bool,
    /// The latest moment at which the least demand was said to be due, since all were hastened.
    told: Moment,
}

impl<R: Resource> State<R> {
    pub(super) fn new(resource: R) -> Self {
        Self {
            clock: Clock::default(),
            line: WaitQueue::default(),
            resource,
            awaited: false,
            told: Moment::ORIGIN,
        }
    }

    /// The time, as far as it matters: where it can change nothing the clock need not be read.
    pub(super) fn glance(&mut self) -> Moment {
        match self.clock.last() {
            Some(last) if !R::TIMED && self.line.is_empty() => last,
            _ => self.clock.read().moment,
        }
    }

    /// Refuses one whose deadline has passed, and a newcomer that asks for more than there ever is,
    /// if they may be refused.
    pub(super) fn admit<W: Patience>(
        &self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        now: Moment,
    ) -> Result<(), W::Refusal> {
        let waited = place.map(|place| now.since(place.since));
        caller.patience.starts(waited.unwrap_or_default())?;
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

    /// Tells who is next when it may claim. What others are told does not matter: they may ask for
    /// less than it does.
    fn tell(&mut self, demand: R::Demand, now: Moment) -> Due {
        let due = self.resource.due(demand, now);
        self.awaited = due == Due::OnAnswer;
        due
    }

    /// Lets one wait who may not claim, and says when it should look by itself: by `watch` at the
    /// latest. The waker is taken only if it waits.
    pub(super) fn wait<W: Patience>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        waker: &mut Option<Waker>,
        watch: Option<Moment>,
    ) -> Result<Wait, W::Refusal> {
        let reading = self.clock.read();
        let now = reading.moment;
        let ahead = self.ahead(place);
        self.note_told(now);
        let due = match ahead {
            0 => self.tell(caller.demand, now),
            _ => self.resource.due(caller.demand, now),
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let forecast = self.forecast(due, ahead, now);
        let left = caller
            .patience
            .judge(&self.outlook(place, reading, forecast))?;
        let mut standing = place.unwrap_or_else(|| self.join(caller.lane, now));
        let expected = self.expected(due, ahead, now);
        let bounds = left.map(|left| now + left).into_iter().chain(watch);
        let expected = bounds.fold(expected, Moment::min);
        let waker = waker.take().expect("one waits once at each look");
        standing.ticket = self.line.wait(standing.ticket, expected, waker);
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

    /// Notes what is due for the least demand: one that asks for more is told a later moment, which
    /// says nothing of others.
    fn note_told(&mut self, now: Moment) {
        if R::TIMED
            && let Due::At(due) = self.resource.due(R::Demand::default(), now)
        {
            self.told = self.told.max(due);
        }
    }

    /// Lets one wait whose inner service is not ready, and says when its patience ends, if it does.
    pub(super) fn wait_stuck<W: Patience>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        now: Reading,
        waker: &mut Option<Waker>,
    ) -> Result<(Standing, Option<Instant>), W::Refusal> {
        let left = caller.patience.judge(&self.outlook(place, now, None))?;
        let mut standing = place.unwrap_or_else(|| self.join(caller.lane, now.moment));
        let waker = waker.take().expect("one waits once at each look");
        standing.ticket = self.line.wait_stuck(standing.ticket, now.moment, waker);
        Ok((standing, left.map(|left| now.instant_in(left))))
    }

    /// How many stand before the holder of `place`, or before a newcomer, at most.
    fn ahead(&self, place: Option<Standing>) -> usize {
        place.map_or(self.line.len(), |place| self.line.ahead(place.ticket))
    }

    fn join(&mut self, lane: Group, now: Moment) -> Standing {
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

    /// How long the turn takes to come if everyone ahead takes theirs; none if only an answer can
    /// tell.
    fn forecast(&self, due: Due, ahead: u32, now: Moment) -> Option<Duration> {
        let first = match due {
            Due::Now => Duration::ZERO,
            Due::At(due) => due.since(now),
            Due::OnAnswer => return None,
        };
        let behind = self.resource.interval(now).saturating_mul(ahead);
        Some(first.saturating_add(behind))
    }

    /// Returns when a waiter should look by itself. The next waiter looks at its departure. The
    /// others look when the next one counts as absent, and later by one interval, or one grace if
    /// that is less, for each waiter between. So k parked waiters are passed over within k graces,
    /// and the waiter behind them looks then.
    fn expected(&self, due: Due, ahead: u32, now: Moment) -> Moment {
        let (due, each) = match due {
            Due::Now => (now, self.spacing(now)),
            Due::At(due) => (due, self.spacing(now)),
            Due::OnAnswer => (now + RECHECK, WaitQueue::<Waker>::GRACE),
        };
        let expected = ahead.checked_sub(1).map_or(due, |between| {
            let missed = self.line.next_is_missed().unwrap_or(due);
            missed.max(due + WaitQueue::<Waker>::GRACE) + each.saturating_mul(between)
        });
        expected.min(now + LONGEST_TIMER)
    }

    /// Returns how much later than the waiter before it a waiter looks. Where only the end of a
    /// call makes room, no interval is known, and it is a grace.
    fn spacing(&self, now: Moment) -> Duration {
        match R::TIMED {
            true => self.resource.interval(now).min(WaitQueue::<Waker>::GRACE),
            false => WaitQueue::<Waker>::GRACE,
        }
    }

    /// Wakes who is next: to claim what is due, or to set its timer for when it will be. Where only
    /// an answer brings the turn, even of the least demand, there is nothing to do before it comes.
    pub(super) fn next(&mut self, now: Moment) -> Woken {
        if self.line.is_empty() {
            return Woken::default();
        }
        match self.tell(R::Demand::default(), now) {
            Due::OnAnswer => Woken::default(),
            Due::Now => self.wake(now, now, NEAREST),
            Due::At(due) => self.wake(due, now, NEAREST),
        }
    }

    /// Enqueues a waiter as [`wait`](Self::wait) does. If it has found the next waiter absent, it
    /// wakes the new next one, which does not know that it is next, and looks again itself in case
    /// that one is absent too.
    pub(super) fn wait_after_absent<W: Patience>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        place: Option<Standing>,
        now: Moment,
        waker: &mut Option<Waker>,
    ) -> (Woken, Result<Wait, W::Refusal>) {
        let has_passed_over = self.line.take_passed_over();
        if !has_passed_over || self.ahead(place) == 0 {
            let wait = self.wait(caller, place, waker, None);
            return (Woken::default(), wait);
        }
        let woken = self.next(now);
        let watch = self.line.next_is_missed();
        (woken, self.wait(caller, place, waker, watch))
    }

    pub(super) fn woken_by(&mut self, wake: Wake, now: Moment) -> Woken {
        let concerns = match wake {
            Wake::Nobody => false,
            Wake::IfAwaited => self.awaited,
            Wake::Always | Wake::All => true,
        };
        if !concerns || self.line.is_empty() {
            return Woken::default();
        }
        let nearest = match wake {
            Wake::All => u32::MAX,
            _ => NEAREST,
        };
        // Whether an answer is awaited is not told anew: until the one who is next has come, each
        // answer looks for it.
        match self.resource.due(R::Demand::default(), now) {
            Due::At(due) => self.wake(due, now, nearest),
            Due::Now | Due::OnAnswer => self.wake(now, now, nearest),
        }
    }

    /// Wakes who is next, and those behind it who would not be there soon if it never came.
    fn wake(&mut self, due: Moment, now: Moment, mut nearest: u32) -> Woken {
        if self.told > due + JUMP {
            (nearest, self.told) = (u32::MAX, due);
        }
        let late = match nearest {
            u32::MAX => Duration::ZERO,
            _ => LATE,
        };
        let next = self.line.wake_next(now);
        let behind = self.line.wake_late(now, due + late, nearest);
        Woken { next, behind }
    }
}
