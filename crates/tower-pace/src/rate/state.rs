use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use pacing::fields::{LimitFields, StatedLimit};
use pacing::shared::{HORIZON, NextCall};
use pacing::{Cost, Departure, Due, Feedback, Hold, HoldCause, Limiter, Moment, Quota};

use super::events::Events;
use super::front::RateFront;
use super::in_flight::InFlight;
use super::shared::{Process, Shared};
use super::snapshot::{Counters, HeldBy, Snapshot};
use crate::error::LimitKind;
use crate::wait::{Queue, Resource, WaitCause};

/// A stated quota expires after this time. A shorter one would drop it between the responses of a
/// slow client, and a longer one would keep a limit that the server has raised.
const STATED_FOR: Duration = Duration::from_secs(60);
/// The shortest time between two warnings of the same kind, so that a log stays readable.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// The state of one rate limit: its limiter, and the settings of its handle and of the server's
/// header fields.
#[derive(Debug)]
pub(crate) struct RateState {
    limiter: Limiter,
    /// The quota that the user set. A stated quota is in force only if it is slower.
    configured: Quota,
    /// When the server last stated the slower quota in force.
    stated: Option<Moment>,
    /// The limits that the server stated last, for handles.
    last: Statement,
    is_paused: bool,
    /// The hold of the last request that was not due.
    held: Option<Hold>,
    counters: Counters,
    exhaustion: Exhaustion,
    /// The departure times of a quota that several processes share. Boxed, since few limits have
    /// them, and all others would be larger.
    shared: Option<Box<Shared>>,
}

/// The limits in the last response that stated any, and its time.
#[derive(Debug, Default)]
struct Statement {
    limits: Vec<StatedLimit>,
    at: Moment,
}

/// Whether requests without a response take the whole limit, while others wait.
#[derive(Clone, Copy, Debug, Default)]
struct Exhaustion {
    is_seen: bool,
    warned: Option<Moment>,
}

impl RateState {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            limiter: Limiter::new(quota),
            configured: quota,
            stated: None,
            last: Statement::default(),
            is_paused: false,
            held: None,
            counters: Counters::default(),
            exhaustion: Exhaustion::default(),
            shared: None,
        }
    }

    /// Returns the state of a quota that several processes share.
    pub(super) fn sharing(quota: Quota, process: Process, driver: Waker) -> Self {
        let shared = Shared::new(quota, process, driver);
        Self {
            limiter: Limiter::new(shared.own_quota()),
            shared: Some(Box::new(shared)),
            ..Self::new(quota)
        }
    }

    /// Returns the departure times of a shared quota, if it is one.
    pub(super) fn shared(&mut self, now: Moment) -> Option<&mut Shared> {
        let shared = self.shared.as_deref_mut()?;
        shared.follow(&mut self.limiter, now);
        Some(shared)
    }

    /// Returns the next call to the store of a shared quota, if it is one, for `waiting` waiters.
    pub(super) fn next_call(&mut self, waiting: usize, now: Moment) -> Option<NextCall> {
        let is_held = self.is_held_here(now);
        let shared = self.shared(now)?;
        Some(shared.next_call(if is_held { 0 } else { waiting }, now))
    }

    /// Returns whether a pause, a penalty or the guard of this process holds all requests back for
    /// longer than a departure time lies ahead. Departure times would be lost, and the other
    /// processes could use them. The next waiter asks for one when the hold ends.
    fn is_held_here(&mut self, now: Moment) -> bool {
        let until = self
            .limiter
            .hold(Cost::ONE, now)
            .and_then(|hold| hold.until);
        let horizon = now + Duration::from_micros(HORIZON.unsigned_abs());
        self.is_paused || until.is_some_and(|until| until > horizon)
    }

    /// Returns the longest hold on a request of this cost at `now`.
    fn hold(&mut self, cost: Cost, now: Moment) -> Option<Hold> {
        match &mut self.shared {
            None => self.limiter.hold(cost, now),
            Some(shared) => shared.hold(&mut self.limiter, cost, now),
        }
    }

    /// Returns the moment at which the gate opens. It has passed if the gate is open.
    #[inline]
    fn open_from(&self) -> Moment {
        let opens = self.limiter.open_from();
        match &self.shared {
            None => opens,
            Some(shared) => opens.max(shared.open_from()),
        }
    }

    /// Returns the quota in force.
    fn quota(&self) -> &Quota {
        match &self.shared {
            None => self.limiter.quota(),
            Some(shared) => shared.quota(),
        }
    }

    /// Records a response of the server, and applies a quota that it states if that is slower than
    /// the configured one. Swaps the limits that it states for those of the last statement.
    #[inline]
    pub(super) fn answer(
        &mut self,
        departure: Departure,
        now: Moment,
        feedback: Feedback,
        stated: Option<&mut LimitFields>,
    ) -> Events {
        match feedback {
            Feedback::Throttled(_) => self.counters.throttled += 1,
            Feedback::Accepted | Feedback::Failed => self.counters.answered += 1,
        }
        let opened = self.open_from();
        let feedback = match &mut self.shared {
            None => feedback,
            Some(shared) => shared.record(departure, feedback, now),
        };
        let limits = stated.as_deref().map_or(&[][..], |stated| &stated.limits);
        let is_nearer = self.limiter.answer_with(departure, now, feedback, limits);
        let is_new_quota = self.obey(stated, now);
        Events {
            learned: is_new_quota.then(|| self.interval_at(now)),
            is_sooner: is_new_quota || is_nearer,
            ..self.events(opened, now)
        }
    }

    /// Records a response of a gateway.
    pub(super) fn answer_from_gateway(
        &mut self,
        departure: Departure,
        now: Moment,
        retry_after: Option<Duration>,
    ) -> Events {
        match retry_after {
            Some(_) => self.counters.throttled += 1,
            None => self.counters.abandoned += 1,
        }
        let opened = self.open_from();
        let retry_after = match (&mut self.shared, retry_after) {
            (Some(shared), Some(_)) => shared.record_gateway(departure, retry_after, now),
            _ => retry_after,
        };
        let is_sooner = self
            .limiter
            .answer_from_gateway(departure, now, retry_after);
        Events {
            is_sooner,
            ..self.events(opened, now)
        }
    }

    pub(super) fn abandon(&mut self, departure: Departure, now: Moment) -> Events {
        self.counters.abandoned += 1;
        Events {
            is_sooner: self.limiter.abandon(departure, now),
            ..Events::default()
        }
    }

    pub(super) fn refund(&mut self, departure: Departure) {
        self.counters.unsent += 1;
        self.limiter.refund(departure);
    }

    /// Corrects the cost of a request that was answered at `answered`.
    pub(super) fn settle(
        &mut self,
        departure: &mut Departure,
        answered: Moment,
        cost: Cost,
        now: Moment,
    ) {
        self.limiter.settle_answered(departure, answered, cost, now);
    }

    /// Returns the events since the gate was to open at `opened`.
    #[inline]
    fn events(&mut self, opened: Moment, now: Moment) -> Events {
        let opens = self.open_from();
        Events {
            closed: (opens > opened).then(|| opens.since(now)),
            exhausted: self.exhaustion.is_new(now),
            ..Events::default()
        }
    }

    /// Applies the quota that a response states, and keeps its limits. Returns whether the quota in
    /// force has changed.
    #[inline]
    fn obey(&mut self, stated: Option<&mut LimitFields>, now: Moment) -> bool {
        match (stated, self.stated) {
            (None, None) => false,
            (stated, _) => self.obey_stated(stated, now),
        }
    }

    fn obey_stated(&mut self, stated: Option<&mut LimitFields>, now: Moment) -> bool {
        let slower = stated
            .as_deref()
            .and_then(|stated| stated.slower_than(&self.configured));
        if let Some(stated) = stated.filter(|stated| !stated.limits.is_empty()) {
            mem::swap(&mut self.last.limits, &mut stated.limits);
            self.last.at = now;
        }
        match (slower, self.stated) {
            (Some(slower), _) => {
                self.stated = Some(now);
                self.apply(slower, now)
            }
            (None, Some(stated)) if is_old(stated, now) => {
                self.stated = None;
                self.apply(self.configured, now)
            }
            (None, _) => false,
        }
    }

    /// Returns the quota that the user set.
    pub(super) fn configured(&self) -> Quota {
        self.configured
    }

    pub(super) fn set_quota(&mut self, quota: Quota, now: Moment) {
        self.configured = quota;
        self.stated = None;
        self.apply(quota, now);
    }

    pub(super) fn record_reset(&mut self, now: Moment) {
        self.limiter.record_reset(now);
    }

    /// Applies `quota` if it is slower than the configured one, and the configured one otherwise.
    pub(super) fn learn(&mut self, quota: Quota, now: Moment) {
        let is_slower = quota.spacing() > self.configured.spacing();
        self.stated = None;
        self.apply(if is_slower { quota } else { self.configured }, now);
    }

    /// Applies a quota. Returns whether it differs from the quota in force.
    fn apply(&mut self, quota: Quota, now: Moment) -> bool {
        let is_new_quota = quota != *self.quota();
        if is_new_quota {
            match &mut self.shared {
                None => self.limiter.set_quota(quota, now),
                Some(shared) => shared.set_quota(quota, &mut self.limiter, now),
            }
        }
        is_new_quota
    }

    /// Returns the time between two departures at the rate in force.
    fn interval_at(&self, now: Moment) -> Duration {
        let own = self.limiter.interval(now);
        match &self.shared {
            None => own,
            Some(shared) => shared.interval().max(own),
        }
    }

    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    pub(super) fn penalize(&mut self, time: Duration, now: Moment) {
        self.limiter.penalize(now + time);
    }

    pub(super) fn snapshot(&mut self, queued: usize, now: Moment) -> Snapshot {
        let hold = self.hold(Cost::ONE, now);
        let until = hold.and_then(|hold| hold.until);
        let closed_until = self.limiter.closed_until().max(self.open_from());
        let closed_for = closed_until.since(now);
        Snapshot {
            queued,
            in_flight: self.limiter.in_flight(),
            counted: self.limiter.counted(now),
            interval: self.interval_at(now),
            gate: Some(closed_for).filter(|left| !left.is_zero()),
            held_by: self.held_by(hold),
            held_for: until
                .filter(|_| !self.is_paused)
                .map(|until| until.since(now)),
            quota: *self.quota(),
            counters: self.counters,
            shared: self.shared(now).map(|shared| shared.status(now)),
        }
    }

    /// Returns the limits that the server stated last, whose resets count from now.
    pub(super) fn stated_limits(&self, now: Moment) -> Vec<StatedLimit> {
        let age = now.since(self.last.at);
        let limits = self.last.limits.iter();
        let since_now = limits.map(|limit| StatedLimit {
            reset: limit.reset.saturating_sub(age),
            ..*limit
        });
        since_now.collect()
    }

    /// Returns whether a new state of `quota` would behave in the same way.
    pub(super) fn is_idle(&mut self, quota: &Quota, now: Moment) -> bool {
        let is_as_new = self.configured == *quota && self.returns_to_configured(now);
        is_as_new && !self.is_paused && self.limiter.is_as_new(now)
    }

    /// Returns whether the configured quota is in force, or would be with the next response.
    fn returns_to_configured(&self, now: Moment) -> bool {
        let was_stated_long_ago = self.stated.is_some_and(|stated| is_old(stated, now));
        *self.quota() == self.configured || was_stated_long_ago
    }

    fn held_by(&self, hold: Option<Hold>) -> HeldBy {
        match hold.map(|hold| hold.by) {
            _ if self.is_paused => HeldBy::Pause,
            None => HeldBy::Nothing,
            Some(HoldCause::Window) => HeldBy::Window,
            Some(HoldCause::Cap) => HeldBy::Cap,
            Some(HoldCause::Allowance) => HeldBy::Allowance,
            Some(HoldCause::Gate) => HeldBy::Gate,
            Some(HoldCause::Shared) => HeldBy::Shared,
            // A cause that a later version adds ends with time, as the pace does.
            Some(_) => HeldBy::Pace,
        }
    }
}

/// Returns whether a quota that was stated then has expired.
fn is_old(stated: Moment, now: Moment) -> bool {
    now.since(stated) >= STATED_FOR
}

impl Exhaustion {
    /// Returns whether it was seen since the last call, and the last warning is old enough.
    #[inline]
    fn is_new(&mut self, now: Moment) -> bool {
        if !self.is_seen {
            return false;
        }
        let is_due = self
            .warned
            .is_none_or(|warned| now.since(warned) >= BETWEEN_WARNINGS);
        self.is_seen = false;
        self.warned = if is_due { Some(now) } else { self.warned };
        is_due
    }
}

impl Resource for RateState {
    const LIMIT: LimitKind = LimitKind::Rate;

    const TIMED: bool = true;

    const ACQUIRES_FIRST: bool = false;

    type Demand = Cost;

    type Token = Departure;

    type Acquired = InFlight;

    type Front = RateFront;

    fn due(&mut self, cost: Cost, now: Moment) -> Due {
        if self.is_paused {
            return Due::OnAnswer;
        }
        self.held = self.hold(cost, now);
        match self.held {
            None => Due::Now,
            Some(hold) => hold.until.map_or(Due::OnAnswer, Due::At),
        }
    }

    #[inline]
    fn try_acquire(&mut self, cost: Cost, now: Moment) -> Result<Departure, Due> {
        if self.is_paused {
            return Err(Due::OnAnswer);
        }
        let departed = match &mut self.shared {
            None => self.limiter.try_depart(cost, now),
            Some(shared) => shared.try_depart(&mut self.limiter, cost, now),
        };
        self.counters.departed += u64::from(departed.is_ok());
        departed.map_err(|hold| hold.until.map_or(Due::OnAnswer, Due::At))
    }

    fn guard(queue: &Arc<Queue<Self>>, departure: Departure) -> InFlight {
        InFlight::new(Arc::clone(queue), departure)
    }

    fn interval(&self, now: Moment) -> Duration {
        self.interval_at(now)
    }

    fn fits(&self, cost: Cost) -> bool {
        cost == Cost::ONE || self.quota().fits(cost).is_ok()
    }

    fn is_starting(&self) -> bool {
        let held = self.held.map(|hold| hold.by);
        let is_starting = match (held, &self.shared) {
            (Some(HoldCause::Pace), _) => self.counters.departed == 0,
            // Each departure of a shared quota waits for a round trip to the store.
            (Some(HoldCause::Shared), Some(shared)) => shared.is_asking(),
            _ => false,
        };
        is_starting && !self.is_paused
    }

    fn want(&mut self, cost: Cost, now: Moment) {
        if let Some(shared) = &mut self.shared {
            shared.want(cost, now);
        }
    }

    #[inline]
    fn take_driver(&mut self) -> Option<Waker> {
        self.shared.as_mut().and_then(|shared| shared.take_driver())
    }

    fn cause(&mut self, due: Due, _: Moment) -> WaitCause {
        self.exhaustion.is_seen |= !self.is_paused && due == Due::OnAnswer;
        match self.held_by(self.held) {
            HeldBy::Pause | HeldBy::Gate | HeldBy::Allowance => WaitCause::Gated,
            HeldBy::Window | HeldBy::Cap => WaitCause::Acknowledged,
            HeldBy::Nothing | HeldBy::Pace | HeldBy::Shared => WaitCause::Paced,
        }
    }
}
