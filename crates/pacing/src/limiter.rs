use std::mem;
use std::time::Duration;

use crate::ceiling::Ceiling;
use crate::conditions::{Conditions, Shared};
use crate::fields::StatedLimit;
use crate::gate::{Closing, Gate};
use crate::hold::{Hold, HoldCause, longer};
use crate::jitter::Jitter;
use crate::limit_state::LimitState;
use crate::moment::Span;
use crate::path::{Path, Proof};
use crate::policy::Uncertainty;
use crate::recovery::Recovery;
use crate::slots::Slots;
use crate::unit::Load;
use crate::{Cost, Departure, Moment, Quota};

/// A server's clock shows whole seconds: a stated reset may come up to one later.
const TICK: Duration = Duration::from_secs(1);
/// An unanswered request is dropped up to 1/256 of the transit late. More entries would take more
/// memory, fewer would keep the server's word from being used for longer.
const ENTRIES: u64 = 256;

/// Decides when a request may leave, for everyone who shares one quota.
///
/// Ask [`due`](Self::due), then [`depart`](Self::depart), and report the end of every departure:
/// exactly one of [`answer`](Self::answer), [`answer_from_gateway`](Self::answer_from_gateway),
/// [`abandon`](Self::abandon) and [`refund`](Self::refund).
#[derive(Clone, Debug)]
pub struct Limiter {
    quota: Quota,
    /// One for each limit, from the first question on.
    limits: Vec<LimitState>,
    in_flight: Load,
    shared: Shared,
    ceiling: Ceiling,
    gate: Gate,
    /// A caller was told a time that the end of a request may bring forward.
    is_awaited: bool,
}

/// When the next request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It may leave now.
    Now,
    /// It may not leave before this moment. Ask again then. An answer that comes in between can
    /// move it in either direction.
    At(Moment),
    /// It may leave when a request that is in flight has ended.
    OnAnswer,
}

/// What an answer says about the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The server took the request.
    Accepted,
    /// The server refused it (429), with its `Retry-After` if it sent one.
    Throttled(Option<Duration>),
    /// The server failed (5xx), which says nothing about the limit.
    Failed,
}

impl Limiter {
    /// Returns a limiter that starts with the first question it is asked.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            limits: Vec::with_capacity(quota.policies().count()),
            in_flight: Load::default(),
            shared: Shared {
                transit: Span::of(quota.max_transit),
                path: Path::new(),
                jitter: Jitter::new(quota.jitter_ceiling),
                recovery: Recovery::full(shortest_window(&quota)),
                unanswered: Unanswered::of(&quota),
            },
            ceiling: Ceiling::default(),
            gate: Gate::default(),
            is_awaited: false,
        }
    }

    /// Returns when the next request may leave.
    pub fn due(&mut self, now: Moment) -> Due {
        self.due_for(Cost::ONE, now)
    }

    /// Returns when a request of this cost may leave.
    ///
    /// A cost above a limit counts as the whole limit. [`Quota::fits`] says beforehand whether it
    /// fits.
    pub fn due_for(&mut self, cost: Cost, now: Moment) -> Due {
        match self.hold(cost, now) {
            None => Due::Now,
            Some(Hold { until, .. }) => until.map_or(Due::OnAnswer, Due::At),
        }
    }

    /// Returns what holds back a request of this cost at `now`. Of several holds it is the longest.
    #[inline]
    pub fn hold(&mut self, cost: Cost, now: Moment) -> Option<Hold> {
        let (conditions, limits) = self.at(now);
        let mut hold = None;
        let mut is_awaited = false;
        for limit in limits {
            let verdict = limit.verdict(cost, conditions);
            hold = longer(hold, verdict.hold);
            is_awaited |= verdict.is_awaited;
        }
        self.is_awaited |= is_awaited;
        for (by, until) in [
            (HoldCause::Gate, self.gate.open_from()),
            (HoldCause::Allowance, self.ceiling.open_from()),
        ] {
            if until > now {
                hold = longer(hold, Some(Hold::until(by, until)));
            }
        }
        hold
    }

    /// Records a departure of a request of this cost at `now`, unless something holds it back.
    ///
    /// # Errors
    ///
    /// Fails with the longest hold. Nothing is recorded then.
    #[inline]
    pub fn try_depart(&mut self, cost: Cost, now: Moment) -> Result<Departure, Hold> {
        let is_open = self.gate.open_from() <= now && self.ceiling.open_from() <= now;
        let number = self.shared.path.next_number();
        // An open gate and one limit are the usual case. Otherwise several holds are compared, and
        // no limit may record anything before all have agreed.
        let (conditions, limits) = self.at(now);
        if is_open && let [limit] = limits {
            let before = conditions.unanswered();
            let verdict = limit.try_depart(cost, number, conditions);
            self.is_awaited |= verdict.is_awaited;
            return match verdict.hold {
                Some(hold) => Err(hold),
                None => Ok(self.record_departure(cost, now, before)),
            };
        }
        match self.hold(cost, now) {
            Some(hold) => Err(hold),
            None => Ok(self.depart_with(cost, now)),
        }
    }

    /// Records that a request leaves at `now`. Only call it while [`due`](Self::due) says
    /// [`Due::Now`].
    pub fn depart(&mut self, now: Moment) -> Departure {
        self.depart_with(Cost::ONE, now)
    }

    /// Records that a request of this cost leaves. Only call it while [`due_for`](Self::due_for)
    /// says [`Due::Now`].
    #[inline]
    pub fn depart_with(&mut self, cost: Cost, now: Moment) -> Departure {
        let number = self.shared.path.next_number();
        let (conditions, limits) = self.at(now);
        let before = conditions.unanswered();
        for limit in limits {
            limit.depart(cost, number, conditions);
        }
        self.record_departure(cost, now, before)
    }

    /// Records a departure with all that the limits share. `before` is the load that was unanswered
    /// before it.
    #[inline]
    fn record_departure(&mut self, cost: Cost, now: Moment, before: Load) -> Departure {
        let number = self.shared.path.next_number();
        let load = Load::of(cost);
        self.ceiling.charge(load.counted(self.quota.first.unit));
        self.in_flight = self.in_flight.plus(load);
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.depart(load, now);
        }
        let short = |load: u64| u32::try_from(load).unwrap_or(u32::MAX);
        Departure {
            sent: now,
            total: self.shared.path.depart(load.cost, now),
            number,
            cost,
            before: (short(before.requests), short(before.cost)),
        }
    }

    /// Records that the server's own answer came at `now`. Returns true if a caller that was told a
    /// time has to ask again, since it may leave sooner.
    ///
    /// The answer of a gateway (502, 503) is not the server's own: report it with
    /// [`answer_from_gateway`](Self::answer_from_gateway), and its timeout (504) with
    /// [`abandon`](Self::abandon).
    pub fn answer(&mut self, departure: Departure, now: Moment, feedback: Feedback) -> bool {
        self.answer_with(departure, now, feedback, &[])
    }

    /// Records an answer as [`answer`](Self::answer) does, and what it states to remain of its
    /// limits.
    #[inline]
    pub fn answer_with(
        &mut self,
        departure: Departure,
        now: Moment,
        feedback: Feedback,
        stated: &[StatedLimit],
    ) -> bool {
        self.end(departure);
        let proof = self.prove(departure, now);
        let (conditions, limits) = self.conditions(now);
        for limit in limits {
            if let Some(proof) = &proof {
                limit.prove(proof, conditions);
            }
            limit.answer(departure, now);
        }
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.answer(departure.sent, departure.cost);
        }
        let round_trip = now.span_since(departure.sent);
        self.shared.path.learn(round_trip);
        self.learn(|jitter| jitter.observe(round_trip));
        // Most servers state nothing.
        let is_nearer = !stated.is_empty() && {
            let since = self.shared.path.since(departure);
            let is_throttled = matches!(feedback, Feedback::Throttled(_));
            self.learn_stated(since, departure.unanswered(), is_throttled, stated, now)
        };
        match feedback {
            Feedback::Accepted => self.gate.succeed(departure.sent),
            Feedback::Throttled(retry_after) => {
                self.throttle(departure.sent, now, retry_after, stated);
            }
            Feedback::Failed => {}
        }
        mem::take(&mut self.is_awaited) | is_nearer
    }

    /// Records that a gateway in front of the server answered at `now`. `retry_after` is its
    /// `Retry-After`, if it sent one (503). Returns the same as [`answer`](Self::answer).
    ///
    /// The answer proves that the path is open. The request may still be on its way to the server's
    /// counter, so it holds its slots.
    pub fn answer_from_gateway(
        &mut self,
        departure: Departure,
        now: Moment,
        retry_after: Option<Duration>,
    ) -> bool {
        self.end(departure);
        let proof = self.prove(departure, now);
        let (conditions, limits) = self.conditions(now);
        for limit in limits {
            if let Some(proof) = &proof {
                limit.prove(proof, conditions);
            }
            limit.abandon(departure, now);
        }
        if let Some(hint) = named(retry_after) {
            self.learn(Jitter::reset);
            let hint = hint.min(self.quota.max_retry_after);
            self.close_gate(departure.sent, now, Some(hint));
        }
        mem::take(&mut self.is_awaited)
    }

    /// Records that a request ended at `now` without an answer. It may still be on its way, so it
    /// holds its slots. Returns the same as [`answer`](Self::answer).
    pub fn abandon(&mut self, departure: Departure, now: Moment) -> bool {
        self.end(departure);
        for limit in &mut self.limits {
            limit.abandon(departure, now);
        }
        mem::take(&mut self.is_awaited)
    }

    /// Records that a request provably never left, and gives back its slots and its part of an
    /// allowance.
    ///
    /// Its departure is given back only if it was the latest: a later one was spaced from it. Every
    /// caller that waits has to ask again.
    pub fn refund(&mut self, departure: Departure) {
        self.end(departure);
        let is_latest = self.shared.path.is_latest(departure);
        for limit in &mut self.limits {
            limit.refund(departure, is_latest);
        }
        let load = Load::of(departure.cost);
        self.shared.path.refund(departure, load);
        self.ceiling.spare(load.counted(self.quota.first.unit));
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.answer(departure.sent, departure.cost);
        }
    }

    /// Corrects the cost of a request that is in flight, and returns the departure whose end to
    /// report.
    ///
    /// A lower cost gives back the difference, and every caller that waits has to ask again. A
    /// higher cost was counted by the server before it was reserved here: the promise holds only
    /// for estimates that are not too low.
    pub fn settle(&mut self, departure: Departure, cost: Cost, now: Moment) -> Departure {
        let is_latest = self.shared.path.is_latest(departure);
        let (conditions, limits) = self.at(now);
        for limit in limits {
            limit.settle(departure, cost, is_latest, conditions);
        }
        let (before, after) = (Load::of(departure.cost), Load::of(cost));
        let (spared, added) = (before.minus(after), after.minus(before));
        self.in_flight = self.in_flight.minus(spared).plus(added);
        let unit = self.quota.first.unit;
        self.ceiling.spare(spared.counted(unit));
        self.ceiling.charge(added.counted(unit));
        self.shared.path.refund(departure, spared);
        self.shared.path.charge(added.cost);
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.settle(departure, spared, added, now);
        }
        Departure {
            cost,
            total: departure.total.wrapping_add(added.cost),
            ..departure
        }
    }

    /// Replaces the quota. The requests that have left are remembered, and count in the new
    /// windows.
    ///
    /// A rate that refusals have lowered stays lowered by the same share. For one window the pace
    /// is that of a new process. Every caller that waits has to ask again.
    ///
    /// Before a change from limits in requests to one in [`Cost`], let a window pass: the cost of
    /// what is in flight is known, but of what has ended only the number of requests.
    pub fn set_quota(&mut self, quota: Quota, now: Moment) {
        if quota.jitter_ceiling != self.quota.jitter_ceiling {
            self.shared.jitter = Jitter::new(quota.jitter_ceiling);
        }
        self.shared.recovery.set_window(shortest_window(&quota));
        self.shared.transit = Span::of(quota.max_transit);
        let unanswered = Unanswered::of(&quota);
        self.shared.unanswered = unanswered.map(|unanswered| {
            let known = self
                .shared
                .unanswered
                .take()
                .filter(|known| known.is_for(&quota));
            known.unwrap_or_else(|| unanswered.starting_with(self.in_flight, now))
        });
        // Whatever the new quota asserts of its start, this limiter has started before.
        self.quota = Quota {
            unused_at_start: quota.unused_at_start && self.limits.is_empty(),
            ..quota
        };
        let known = mem::take(&mut self.limits);
        let in_flight = self.in_flight;
        let (conditions, limits) = self.at(now);
        for limit in limits {
            let in_flight = in_flight.counted(limit.policy.unit);
            limit.remember(&known, in_flight, conditions);
        }
        self.quota = quota;
        self.assume();
    }

    /// Lets nothing leave before `until`, whatever the quota says. A gate that is closed for longer
    /// stays closed.
    pub fn penalize(&mut self, until: Moment) {
        self.gate.close_until(until);
    }

    /// Returns the quota in force.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns the time between departures at the rate in force.
    #[must_use]
    pub fn interval(&self, now: Moment) -> Duration {
        let conditions = Conditions {
            now,
            shared: &self.shared,
        };
        let intervals = self.limits.iter().map(|limit| limit.interval(conditions));
        let longest = intervals.max();
        longest.map_or_else(|| self.quota.spacing(), Span::duration)
    }

    /// Returns the cost of what has left and has not ended, by the limit that was named first.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.counted(self.quota.first.unit)
    }

    /// Returns the cost of what may still count at the server, by the limit that was named first.
    #[must_use]
    pub fn counted(&mut self, now: Moment) -> u64 {
        self.limits
            .first_mut()
            .map_or(0, |limit| limit.window.held(now))
    }

    /// Returns the moment from which requests may leave again after a refusal; it has passed if the
    /// gate is open.
    #[inline]
    #[must_use]
    pub fn open_from(&self) -> Moment {
        self.gate.open_from()
    }

    /// Returns the moment from which requests may leave again after a refusal, a penalty, or where
    /// others have used up the limit by the server's word; it has passed if they may.
    #[must_use]
    pub fn closed_until(&self) -> Moment {
        self.gate.open_from().max(self.ceiling.open_from())
    }

    /// Returns how much the way to the server is assumed to vary.
    #[must_use]
    pub fn assumed_jitter(&self) -> Duration {
        self.shared.jitter.assumed()
    }

    /// Returns whether a new limiter of the same quota would do no worse: nothing may still count,
    /// nothing is in flight, no server's word holds, and the rate is whole.
    #[must_use]
    pub fn is_as_new(&mut self, now: Moment) -> bool {
        let is_open = self.gate.open_from() <= now && !self.ceiling.holds(now);
        let is_whole = self.shared.recovery.share_at(now).is_full();
        let is_idle = self.in_flight == Load::default();
        is_open && is_whole && is_idle && self.limits.iter_mut().all(|limit| limit.is_as_new(now))
    }

    /// Starts the limits if this is the first question.
    #[inline]
    fn at(&mut self, now: Moment) -> (Conditions<'_>, &mut [LimitState]) {
        if self.limits.is_empty() {
            self.start(now);
        }
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.forget_before(now);
        }
        self.conditions(now)
    }

    #[inline]
    fn conditions(&mut self, now: Moment) -> (Conditions<'_>, &mut [LimitState]) {
        let conditions = Conditions {
            now,
            shared: &self.shared,
        };
        (conditions, &mut self.limits)
    }

    #[cold]
    fn start(&mut self, now: Moment) {
        let quota = &self.quota;
        let limits = quota
            .policies()
            .map(|policy| LimitState::starting(policy, quota, now));
        self.limits.extend(limits);
    }

    #[inline]
    fn end(&mut self, departure: Departure) {
        self.in_flight = self.in_flight.minus(Load::of(departure.cost));
    }

    /// Records that an answer to a departure came, from the server or a gateway.
    #[inline]
    fn prove(&mut self, departure: Departure, now: Moment) -> Option<Proof> {
        let Shared {
            path,
            jitter,
            transit,
            ..
        } = &mut self.shared;
        path.prove(departure, now, jitter.span(), *transit)
    }

    /// Changes the learned jitter, and the pace of every limit if the assumed one changes with it.
    #[inline]
    fn learn(&mut self, change: impl FnOnce(&mut Jitter)) {
        let before = self.shared.jitter.span();
        change(&mut self.shared.jitter);
        if self.shared.jitter.span() != before {
            self.assume();
            // A heavy request may need less silence before it now.
            self.is_awaited = true;
        }
    }

    #[cold]
    fn assume(&mut self) {
        let uncertainty = Uncertainty {
            jitter: self.shared.jitter.span(),
            ..self.quota.widest_uncertainty()
        };
        for limit in &mut self.limits {
            limit.assume(uncertainty);
        }
    }

    /// Records what an answer states to remain. Returns whether that may let requests leave sooner.
    fn learn_stated(
        &mut self,
        since: Load,
        unanswered: Load,
        is_throttled: bool,
        stated: &[StatedLimit],
        now: Moment,
    ) -> bool {
        let closed_until = self.ceiling.open_from();
        let (in_flight, counted) = (self.in_flight(), self.counted(now));
        for stated_limit in stated {
            self.ceiling
                .learn(stated_limit, &self.quota, in_flight, counted, now);
        }
        let mut is_nearer = self.ceiling.open_from() < closed_until;
        for index in 0..self.limits.len() {
            if !is_throttled && let Some(stated_limit) = self.stated_limit_of(index, stated) {
                is_nearer |= self.limits[index].learn(stated_limit, since, unanswered, now);
            }
        }
        is_nearer
    }

    /// Returns the stated limit for a limit with a long window: the one with the same number,
    /// or the only one if no limit of ours has its number.
    fn stated_limit_of<'a>(
        &self,
        index: usize,
        stated: &'a [StatedLimit],
    ) -> Option<&'a StatedLimit> {
        let policy = &self.limits[index].policy;
        let longest = policy.counted_window().duration() + TICK;
        // With more remaining than the limit is, the fields mean something else.
        let fits = |stated_limit: &&StatedLimit| {
            let is_within = stated_limit.limit >= Some(stated_limit.remaining);
            is_within && stated_limit.reset <= longest
        };
        let is_of = |limit: &LimitState, stated_limit: &StatedLimit| {
            stated_limit.limit == Some(u64::from(limit.policy.limit))
        };
        let same = stated
            .iter()
            .filter(fits)
            .find(|stated_limit| is_of(&self.limits[index], stated_limit));
        let only = stated.first().filter(|_| stated.len() == 1).filter(fits);
        let only =
            only.filter(|stated_limit| !self.limits.iter().any(|limit| is_of(limit, stated_limit)));
        same.or(only).filter(|_| policy.has_allowance())
    }

    #[cold]
    fn throttle(
        &mut self,
        sent: Moment,
        now: Moment,
        retry_after: Option<Duration>,
        stated: &[StatedLimit],
    ) {
        self.learn(Jitter::reset);
        let used_up = self.refuse_allowances(stated, now);
        let hint = named(retry_after).map(|time| time.min(self.quota.max_retry_after));
        self.close_gate(sent, now, hint.or(used_up));
    }

    /// Records a refusal with every limit. Returns how long to wait if the answer states that
    /// nothing remains, and a reset within a window of ours.
    fn refuse_allowances(&mut self, stated: &[StatedLimit], now: Moment) -> Option<Duration> {
        let windows = self.quota.policies().map(|policy| policy.counted_window());
        let window = windows.max().unwrap_or_default().duration();
        let used_up = stated
            .iter()
            .filter(|stated_limit| {
                stated_limit.remaining == 0 && stated_limit.reset <= window + TICK
            })
            .map(|stated_limit| stated_limit.reset)
            .max();
        for limit in &mut self.limits {
            self.is_awaited |= limit.refuse(used_up.is_some(), now);
        }
        let longest = self.quota.max_retry_after.max(window);
        used_up.map(|reset| (reset + TICK).min(longest))
    }

    fn close_gate(&mut self, sent: Moment, now: Moment, hint: Option<Duration>) {
        let pause = shortest_window(&self.quota) + self.shared.jitter.assumed();
        match self.gate.close(sent, now, hint, pause) {
            Closing::New => self.shared.recovery.lower(now, self.gate.open_from()),
            Closing::Known => self.shared.recovery.postpone(self.gate.open_from()),
        }
        for limit in &mut self.limits {
            limit.forget_pace();
        }
    }
}

/// The requests that left within `max_transit` and are unanswered: they may reach the counter after
/// an answer was written, so its remaining does not include them.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    transit: Span,
    requests: Slots,
    cost: Slots,
}

impl Unanswered {
    /// Returns none if no limit of the quota has a window for which a server's word is relied on.
    fn of(quota: &Quota) -> Option<Self> {
        let is_needed = quota.policies().any(|policy| policy.has_allowance());
        let transit = Span::of(quota.max_transit);
        let slots = || Slots::new(transit.nanos() / ENTRIES);
        is_needed.then(|| Self {
            transit,
            requests: slots(),
            cost: slots(),
        })
    }

    fn is_for(&self, quota: &Quota) -> bool {
        self.transit == Span::of(quota.max_transit)
    }

    fn starting_with(mut self, in_flight: Load, now: Moment) -> Self {
        self.depart(in_flight, now);
        self
    }

    /// Forgets what left `max_transit` before `now`.
    fn forget_before(&mut self, now: Moment) {
        self.requests.held_at(now);
        self.cost.held_at(now);
    }

    /// Returns the load that was there at the last question.
    // Never inlined: most quotas have none of it.
    #[inline(never)]
    pub(crate) fn load(&self) -> Load {
        Load {
            requests: self.requests.held_at_most(),
            cost: self.cost.held_at_most(),
        }
    }

    /// Returns when the first request will have left `max_transit` ago.
    pub(crate) fn first_until(&self) -> Option<Moment> {
        self.requests.first()
    }

    fn depart(&mut self, load: Load, now: Moment) {
        self.requests.hold_until(now + self.transit, load.requests);
        self.cost.hold_until(now + self.transit, load.cost);
    }

    fn answer(&mut self, sent: Moment, cost: Cost) {
        let until = sent + self.transit;
        self.requests.take(until, 1);
        self.cost.take(until, cost.get().into());
    }

    fn settle(&mut self, departure: Departure, spared: Load, added: Load, now: Moment) {
        let until = departure.sent + self.transit;
        self.cost.take(until, spared.cost);
        self.cost.insert(until, added.cost, now);
    }
}

/// Returns the `Retry-After` of a refusal. Zero counts as none: the server has just refused a
/// request.
fn named(retry_after: Option<Duration>) -> Option<Duration> {
    retry_after.filter(|time| !time.is_zero())
}

/// A refusal does not say which limit refused. The pause starts from the shortest window and
/// doubles.
fn shortest_window(quota: &Quota) -> Duration {
    let windows = quota.policies().map(|policy| policy.counted_window());
    windows.min().unwrap_or_default().duration()
}

#[cfg(test)]
mod tests;
