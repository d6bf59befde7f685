use std::time::Duration;

use pacing::fields::{Allowance, LimitFields};
use pacing::{Cost, Departure, Due, Feedback, Moment, Pacer, Quota};

use super::news::News;
use super::snapshot::{Bound, Counters, Snapshot};
use crate::line::{Cause, Hint, Resource};

/// What a server stated of its limit holds for so long after it was last stated.
const STATED_FOR: Duration = Duration::from_secs(60);
/// The shortest time between two warnings of the same kind.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// The pacer of one limit, with what its handle and the server's header fields add.
#[derive(Debug)]
pub(crate) struct Pace {
    pacer: Pacer,
    /// As it was set by the user: the server's word may be slower, and never faster.
    configured: Quota,
    /// When the server last stated the slower quota that is in force.
    stated: Option<Moment>,
    is_paused: bool,
    allowance: Allowance,
    counters: Counters,
    starvation: Starvation,
}

/// Whether what waits for an answer takes the whole limit, while others wait.
#[derive(Clone, Copy, Debug, Default)]
struct Starvation {
    is_seen: bool,
    told: Option<Moment>,
}

impl Pace {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            pacer: Pacer::new(quota),
            configured: quota,
            stated: None,
            is_paused: false,
            allowance: Allowance::default(),
            counters: Counters::default(),
            starvation: Starvation::default(),
        }
    }

    /// Records an answer of the server's own, and obeys what it says of the limit, as far as that is slower than what is
    /// configured.
    pub(super) fn answer(
        &mut self,
        departure: Departure,
        now: Moment,
        feedback: Feedback,
        said: &LimitFields,
    ) -> News {
        let (opened, allowed) = (self.pacer.open_from(), self.allowance.open_from());
        match feedback {
            Feedback::Refused(_) => self.counters.refused += 1,
            Feedback::Accepted | Feedback::Failed => self.counters.answered += 1,
        }
        self.pacer.answer(departure, now, feedback);
        let opens = self.pacer.open_from();
        let is_other = self.heed(said, now);
        News {
            closed: (opens > opened).then(|| opens.since(now)),
            learned: is_other.then(|| self.pacer.interval(now)),
            starved: self.starvation.is_news(now),
            hastened: is_other || self.allowance.open_from() < allowed,
        }
    }

    pub(super) fn abandon(&mut self, departure: Departure, now: Moment) {
        self.counters.abandoned += 1;
        self.pacer.abandon(departure, now);
    }

    pub(super) fn refund(&mut self, departure: Departure) {
        self.counters.unsent += 1;
        self.pacer.refund(departure);
    }

    /// Says whether another quota is in force since.
    fn heed(&mut self, said: &LimitFields, now: Moment) -> bool {
        for budget in &said.budgets {
            let (in_flight, counted) = (self.pacer.in_flight(), self.pacer.counted(now));
            self.allowance
                .note(budget, &self.configured, in_flight, counted, now);
        }
        match (said.slower_than(&self.configured), self.stated) {
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
        let due = self.due(Cost::ONE, now);
        let in_flight = self.pacer.in_flight();
        Snapshot {
            queued,
            in_flight,
            counted: self.pacer.counted(now).saturating_sub(in_flight.into()),
            interval: self.pacer.interval(now),
            gate: self.closed_for(now),
            bound: self.bound(due, now),
            quota: *self.pacer.quota(),
            counters: self.counters,
        }
    }

    /// Says whether there is nothing to remember, so that a new state of `quota` would do no worse.
    pub(super) fn is_idle(&mut self, quota: &Quota, now: Moment) -> bool {
        let is_as_new = self.configured == *quota && self.returns_to_configured(now);
        let counts_nothing = self.pacer.in_flight() == 0 && self.pacer.counted(now) == 0;
        let has_recovered = self.pacer.interval(now) <= self.pacer.quota().spacing();
        let holds_nothing = self.closed_for(now).is_none() && !self.allowance.holds(now);
        is_as_new && counts_nothing && has_recovered && holds_nothing && !self.is_paused
    }

    /// Says whether the configured quota is in force, or would be with the next answer.
    fn returns_to_configured(&self, now: Moment) -> bool {
        let was_stated_long_ago = self.stated.is_some_and(|stated| is_old(stated, now));
        *self.pacer.quota() == self.configured || was_stated_long_ago
    }

    fn bound(&mut self, due: Due, now: Moment) -> Bound {
        if self.is_paused {
            return Bound::Pause;
        }
        match due {
            Due::Now => Bound::Nothing,
            Due::OnAnswer => Bound::Acknowledgements,
            Due::At(_) if self.closed_for(now).is_some() => Bound::Gate,
            Due::At(_) if self.pacer.counted(now) >= self.pacer.quota().limit().into() => {
                Bound::Acknowledgements
            }
            Due::At(_) => Bound::Schedule,
        }
    }

    fn open_from(&self) -> Moment {
        self.pacer.open_from().max(self.allowance.open_from())
    }

    /// How long nothing may leave, whatever the schedule says.
    fn closed_for(&self, now: Moment) -> Option<Duration> {
        let left = self.open_from().since(now);
        Some(left).filter(|left| !left.is_zero())
    }
}

/// Says whether what was stated then holds no more.
fn is_old(stated: Moment, now: Moment) -> bool {
    now.since(stated) >= STATED_FOR
}

impl Starvation {
    /// Says whether it was seen since the last time, and was not told of late.
    fn is_news(&mut self, now: Moment) -> bool {
        let is_due = self
            .told
            .is_none_or(|told| now.since(told) >= BETWEEN_WARNINGS);
        let is_news = self.is_seen && is_due;
        self.is_seen = false;
        self.told = if is_news { Some(now) } else { self.told };
        is_news
    }
}

impl Resource for Pace {
    const TIMED: bool = true;

    type Demand = Cost;

    type Claim = Departure;

    type Front = Hint;

    fn due(&mut self, cost: Cost, now: Moment) -> Due {
        if self.is_paused {
            return Due::OnAnswer;
        }
        let opens = self.allowance.open_from();
        match self.pacer.due_for(cost, now) {
            Due::At(due) => Due::At(due.max(opens)),
            _ if opens > now => Due::At(opens),
            due => due,
        }
    }

    fn claim(&mut self, cost: Cost, now: Moment) -> Departure {
        self.counters.departed += 1;
        self.allowance.spend(self.configured.units(cost));
        self.pacer.depart_with(cost, now)
    }

    fn interval(&self, now: Moment) -> Duration {
        self.pacer.interval(now)
    }

    fn fits(&self, cost: Cost) -> bool {
        cost == Cost::ONE || self.pacer.quota().fits(cost).is_ok()
    }

    fn cause(&mut self, due: Due, now: Moment) -> Cause {
        let limit = self.pacer.quota().limit();
        self.starvation.is_seen |= !self.is_paused && self.pacer.in_flight() >= limit;
        match self.bound(due, now) {
            Bound::Pause | Bound::Gate => Cause::Gated,
            Bound::Acknowledgements => Cause::Acknowledged,
            Bound::Nothing | Bound::Schedule => Cause::Paced,
        }
    }
}
