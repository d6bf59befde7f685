use std::sync::Arc;
use std::time::Duration;

use pacing::fields::LimitFields;
use pacing::{Cost, Departure, Due, Feedback, Hold, HoldCause, Limiter, Moment, Quota};

use super::events::Events;
use super::front::RateFront;
use super::in_flight::InFlight;
use super::snapshot::{Counters, HeldBy, Snapshot};
use crate::error::LimitKind;
use crate::wait::{Queue, Resource, WaitCause};

/// What a server stated of its limit holds for so long after it was last stated.
const STATED_FOR: Duration = Duration::from_secs(60);
/// The shortest time between two warnings of the same kind.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// The state of one rate limit: its limiter, and the settings of its handle and of the server's
/// header fields.
#[derive(Debug)]
pub(crate) struct RateState {
    pacer: Limiter,
    /// As it was set by the user: the server's word may be slower, and never faster.
    configured: Quota,
    /// When the server last stated the slower quota that is in force.
    stated: Option<Moment>,
    is_paused: bool,
    /// What held back the last request that asked.
    held: Option<Hold>,
    counters: Counters,
    starvation: Starvation,
}

/// Whether requests that count until they are answered take the whole limit, while others wait.
#[derive(Clone, Copy, Debug, Default)]
struct Starvation {
    is_seen: bool,
    told: Option<Moment>,
}

impl RateState {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            pacer: Limiter::new(quota),
            configured: quota,
            stated: None,
            is_paused: false,
            held: None,
            counters: Counters::default(),
            starvation: Starvation::default(),
        }
    }

    /// Records an answer of the server's own, and obeys what it states of the limit, as far as that
    /// is slower than what is configured.
    #[inline]
    pub(super) fn answer(
        &mut self,
        departure: Departure,
        now: Moment,
        feedback: Feedback,
        stated: Option<&LimitFields>,
    ) -> Events {
        match feedback {
            Feedback::Throttled(_) => self.counters.throttled += 1,
            Feedback::Accepted | Feedback::Failed => self.counters.answered += 1,
        }
        let opened = self.pacer.open_from();
        let budgets = stated.map_or(&[][..], |stated| &stated.limits);
        let is_nearer = self.pacer.answer_with(departure, now, feedback, budgets);
        let is_other = self.obey(stated, now);
        Events {
            learned: is_other.then(|| self.pacer.interval(now)),
            hastened: is_other || is_nearer,
            ..self.events(opened, now)
        }
    }

    /// Records an answer of something in front of the server.
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
        let opened = self.pacer.open_from();
        let hastened = self.pacer.answer_from_gateway(departure, now, retry_after);
        Events {
            hastened,
            ..self.events(opened, now)
        }
    }

    pub(super) fn abandon(&mut self, departure: Departure, now: Moment) -> Events {
        self.counters.abandoned += 1;
        Events {
            hastened: self.pacer.abandon(departure, now),
            ..Events::default()
        }
    }

    pub(super) fn refund(&mut self, departure: Departure) {
        self.counters.unsent += 1;
        self.pacer.refund(departure);
    }

    /// Returns whether the gate closed after `opened`, and whether the whole limit waits for
    /// answers.
    #[inline]
    fn events(&mut self, opened: Moment, now: Moment) -> Events {
        let opens = self.pacer.open_from();
        Events {
            closed: (opens > opened).then(|| opens.since(now)),
            starved: self.starvation.is_new(now),
            ..Events::default()
        }
    }

    /// Obeys what an answer states of the limit. Returns whether another quota is in force since.
    #[inline]
    fn obey(&mut self, stated: Option<&LimitFields>, now: Moment) -> bool {
        match (stated, self.stated) {
            (None, None) => false,
            (stated, _) => self.obey_stated(stated, now),
        }
    }

    fn obey_stated(&mut self, stated: Option<&LimitFields>, now: Moment) -> bool {
        let slower = stated.and_then(|stated| stated.slower_than(&self.configured));
        match (slower, self.stated) {
            (Some(slower), _) => {
                self.stated = Some(now);
                self.hold(slower, now)
            }
            (None, Some(stated)) if is_old(stated, now) => {
                self.stated = None;
                self.hold(self.configured, now)
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
        self.pacer.set_quota(quota, now);
    }

    /// Holds `quota` if it is slower than the configured one, and the configured one otherwise.
    pub(super) fn learn(&mut self, quota: Quota, now: Moment) {
        let is_slower = quota.spacing() > self.configured.spacing();
        self.stated = None;
        self.hold(if is_slower { quota } else { self.configured }, now);
    }

    /// Says whether that is another quota than before.
    fn hold(&mut self, quota: Quota, now: Moment) -> bool {
        let is_other = quota != *self.pacer.quota();
        if is_other {
            self.pacer.set_quota(quota, now);
        }
        is_other
    }

    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    pub(super) fn penalize(&mut self, time: Duration, now: Moment) {
        self.pacer.penalize(now + time);
    }

    pub(super) fn snapshot(&mut self, queued: usize, now: Moment) -> Snapshot {
        let hold = self.pacer.hold(Cost::ONE, now);
        let until = hold.and_then(|hold| hold.until);
        let closed_for = self.pacer.closed_until().since(now);
        Snapshot {
            queued,
            in_flight: self.pacer.in_flight(),
            counted: self.pacer.counted(now),
            interval: self.pacer.interval(now),
            gate: Some(closed_for).filter(|left| !left.is_zero()),
            held_by: self.held_by(hold),
            held_for: until
                .filter(|_| !self.is_paused)
                .map(|until| until.since(now)),
            quota: *self.pacer.quota(),
            counters: self.counters,
        }
    }

    /// Says whether there is nothing to remember, so that a new state of `quota` would do no worse.
    pub(super) fn is_idle(&mut self, quota: &Quota, now: Moment) -> bool {
        let is_as_new = self.configured == *quota && self.returns_to_configured(now);
        is_as_new && !self.is_paused && self.pacer.is_as_new(now)
    }

    /// Says whether the configured quota is in force, or would be with the next answer.
    fn returns_to_configured(&self, now: Moment) -> bool {
        let was_stated_long_ago = self.stated.is_some_and(|stated| is_old(stated, now));
        *self.pacer.quota() == self.configured || was_stated_long_ago
    }

    fn held_by(&self, hold: Option<Hold>) -> HeldBy {
        match hold.map(|hold| hold.by) {
            _ if self.is_paused => HeldBy::Pause,
            None => HeldBy::Nothing,
            Some(HoldCause::Window) => HeldBy::Window,
            Some(HoldCause::Cap) => HeldBy::Cap,
            Some(HoldCause::Allowance) => HeldBy::Allowance,
            Some(HoldCause::Gate) => HeldBy::Gate,
            // What a later version adds is a matter of time, as the pace is.
            Some(_) => HeldBy::Pace,
        }
    }
}

/// Says whether what was stated then holds no more.
fn is_old(stated: Moment, now: Moment) -> bool {
    now.since(stated) >= STATED_FOR
}

impl Starvation {
    /// Says whether it was seen since the last time, and was not told of late.
    #[inline]
    fn is_new(&mut self, now: Moment) -> bool {
        if !self.is_seen {
            return false;
        }
        let is_due = self
            .told
            .is_none_or(|told| now.since(told) >= BETWEEN_WARNINGS);
        self.is_seen = false;
        self.told = if is_due { Some(now) } else { self.told };
        is_due
    }
}

impl Resource for RateState {
    const LIMIT: LimitKind = LimitKind::Rate;

    const TIMED: bool = true;

    type Demand = Cost;

    type Token = Departure;

    type Acquired = InFlight;

    type Front = RateFront;

    fn due(&mut self, cost: Cost, now: Moment) -> Due {
        if self.is_paused {
            return Due::OnAnswer;
        }
        self.held = self.pacer.hold(cost, now);
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
        let departed = self.pacer.try_depart(cost, now);
        self.counters.departed += u64::from(departed.is_ok());
        departed.map_err(|hold| hold.until.map_or(Due::OnAnswer, Due::At))
    }

    fn guard(queue: &Arc<Queue<Self>>, departure: Departure) -> InFlight {
        InFlight::new(Arc::clone(queue), departure)
    }

    fn interval(&self, now: Moment) -> Duration {
        self.pacer.interval(now)
    }

    fn fits(&self, cost: Cost) -> bool {
        cost == Cost::ONE || self.pacer.quota().fits(cost).is_ok()
    }

    fn cause(&mut self, due: Due, _: Moment) -> WaitCause {
        self.starvation.is_seen |= !self.is_paused && due == Due::OnAnswer;
        match self.held_by(self.held) {
            HeldBy::Pause | HeldBy::Gate | HeldBy::Allowance => WaitCause::Gated,
            HeldBy::Window | HeldBy::Cap => WaitCause::Acknowledged,
            HeldBy::Nothing | HeldBy::Pace => WaitCause::Paced,
        }
    }
}
