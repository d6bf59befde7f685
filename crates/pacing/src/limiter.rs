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

/// A server states whole seconds, so its reset may be up to one second later than stated. With
/// less, requests depart before the reset and are throttled. With more, time is lost.
const TICK: Duration = Duration::from_secs(1);
/// The entries of the unanswered requests. A request is dropped up to 1/256 of the transit late.
/// Fewer entries delay the use of stated limits, and more take more memory.
const ENTRIES: u64 = 256;

/// Decides when a request may depart, for all requests that share one quota.
///
/// Call [`due`](Self::due), then [`depart`](Self::depart), or [`try_depart`](Self::try_depart) for
/// both. Report the end of every departure with exactly one of [`answer`](Self::answer),
/// [`answer_from_gateway`](Self::answer_from_gateway), [`abandon`](Self::abandon) and
/// [`refund`](Self::refund).
#[derive(Clone, Debug)]
pub struct Limiter {
    quota: Quota,
    /// The state of each limit; empty before the first question.
    limits: Vec<LimitState>,
    /// The load that departed and has not ended.
    in_flight: Load,
    shared: Shared,
    ceiling: Ceiling,
    gate: Gate,
    /// Whether a hold was returned that the end of a request may end sooner. That end wakes the
    /// waiters.
    is_awaited: bool,
}

/// The time at which the next request may depart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It may depart now.
    Now,
    /// It may not depart before this moment. Ask again then. An answer in between can move the
    /// moment in either direction.
    At(Moment),
    /// It may depart after a request in flight has ended. Ask again then.
    OnAnswer,
}

/// The information that an answer gives about the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The server accepted the request.
    Accepted,
    /// The server throttled the request (429), with its `Retry-After` if it sent one.
    Throttled(Option<Duration>),
    /// The server failed (5xx). That gives no information about the limit.
    Failed,
}

impl Limiter {
    /// Returns a limiter, which starts at the first moment that is passed to it.
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

    /// Returns when the next request may depart.
    pub fn due(&mut self, now: Moment) -> Due {
        self.due_for(Cost::ONE, now)
    }

    /// Returns when a request of this cost may depart.
    ///
    /// A cost above a limit counts as the whole limit. Check it with [`Quota::fits`] beforehand.
    pub fn due_for(&mut self, cost: Cost, now: Moment) -> Due {
        match self.hold(cost, now) {
            None => Due::Now,
            Some(Hold { until, .. }) => until.map_or(Due::OnAnswer, Due::At),
        }
    }

    /// Returns the longest hold on a request of this cost at `now`; none if it may depart.
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

    /// Records the departure of a request of this cost at `now`, if it may depart.
    ///
    /// # Errors
    ///
    /// Returns the longest hold if the request may not depart. Nothing is recorded then.
    #[inline]
    pub fn try_depart(&mut self, cost: Cost, now: Moment) -> Result<Departure, Hold> {
        let is_open = self.gate.open_from() <= now && self.ceiling.open_from() <= now;
        let number = self.shared.path.next_number();
        // An open gate and one limit are the usual case. Otherwise several holds are compared, and
        // all limits must allow the departure before one of them records it.
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

    /// Records the departure of a request at `now`.
    ///
    /// Call it only while [`due`](Self::due) returns [`Due::Now`].
    pub fn depart(&mut self, now: Moment) -> Departure {
        self.depart_with(Cost::ONE, now)
    }

    /// Records the departure of a request of this cost at `now`.
    ///
    /// Call it only while [`due_for`](Self::due_for) returns [`Due::Now`].
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

    /// Records a departure in the state that all limits share. `before` is the load that was
    /// unanswered before it.
    #[inline]
    fn record_departure(&mut self, cost: Cost, now: Moment, before: Load) -> Departure {
        let number = self.shared.path.next_number();
        let load = Load::of(cost);
        self.ceiling.add_cost(load.counted(self.quota.first.unit));
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

    /// Records the server's own answer at `now`. Returns whether waiters have to ask again, since
    /// some may depart before the time that they were given.
    ///
    /// Report the answer of a gateway (502, 503) with
    /// [`answer_from_gateway`](Self::answer_from_gateway), and its timeout (504) with
    /// [`abandon`](Self::abandon).
    pub fn answer(&mut self, departure: Departure, now: Moment, feedback: Feedback) -> bool {
        self.answer_with(departure, now, feedback, &[])
    }

    /// Records an answer as [`answer`](Self::answer) does, together with the limits that it states.
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
        self.shared.path.observe(round_trip);
        self.change_jitter(|jitter| jitter.observe(round_trip));
        // Most servers state no limits.
        let is_sooner = !stated.is_empty() && {
            let since = self.shared.path.since(departure);
            let is_throttled = matches!(feedback, Feedback::Throttled(_));
            self.record_stated(departure, since, is_throttled, stated, now)
        };
        match feedback {
            Feedback::Accepted => self.gate.succeed(departure.sent),
            Feedback::Throttled(retry_after) => {
                self.throttle(departure.sent, now, retry_after, stated);
            }
            Feedback::Failed => {}
        }
        mem::take(&mut self.is_awaited) | is_sooner
    }

    /// Records the answer of a gateway in front of the server at `now`. `retry_after` is its
    /// `Retry-After`, if it sent one (503). Returns the same as [`answer`](Self::answer).
    ///
    /// The answer proves that the path is open. The request may still reach the server's counter,
    /// so it holds its slots.
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
        if let Some(hint) = nonzero(retry_after) {
            self.change_jitter(Jitter::reset);
            let hint = hint.min(self.quota.max_retry_after);
            self.close_gate(departure.sent, now, Some(hint));
        }
        mem::take(&mut self.is_awaited)
    }

    /// Records that a request ended at `now` without an answer. Returns the same as
    /// [`answer`](Self::answer).
    ///
    /// The request may still reach the server's counter, so it holds its slots.
    pub fn abandon(&mut self, departure: Departure, now: Moment) -> bool {
        self.end(departure);
        for limit in &mut self.limits {
            limit.abandon(departure, now);
        }
        mem::take(&mut self.is_awaited)
    }

    /// Records that a request was provably never sent, and releases its slots and its part of a
    /// stated limit.
    ///
    /// The interval after it is undone only if it was the latest departure, since later ones were
    /// spaced from it. All waiters have to ask again.
    pub fn refund(&mut self, departure: Departure) {
        self.end(departure);
        let is_latest = self.shared.path.is_latest(departure);
        for limit in &mut self.limits {
            limit.refund(departure, is_latest);
        }
        let load = Load::of(departure.cost);
        self.shared.path.refund(departure, load);
        self.ceiling
            .remove_cost(load.counted(self.quota.first.unit));
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.answer(departure.sent, departure.cost);
        }
    }

    /// Corrects the cost of a request in flight. Returns the departure to report its end with.
    ///
    /// A lower cost releases the difference, and all waiters have to ask again. A higher cost may
    /// be throttled, since the server counted it before it was acquired here: the promise covers
    /// estimates that are high enough.
    pub fn settle(&mut self, departure: Departure, cost: Cost, now: Moment) -> Departure {
        let (removed, added) = self.settle_limits(departure, None, cost, now);
        self.in_flight = self.in_flight.minus(removed).plus(added);
        self.ceiling
            .remove_cost(removed.counted(self.quota.first.unit));
        self.shared.path.refund(departure, removed);
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.settle(departure, removed, added, now);
        }
        Departure {
            cost,
            total: departure.total.wrapping_add(added.cost),
            ..departure
        }
    }

    /// Corrects the cost of a request whose [`answer`](Self::answer) was recorded at `answered`.
    /// The departure then has the new cost, for another correction.
    ///
    /// It is for a cost that only the body of the response states. The server has counted the
    /// request, so it keeps its slots for as long as before, at the new cost. A lower cost releases
    /// the difference, and all waiters have to ask again. A higher cost has the consequences that
    /// [`settle`](Self::settle) describes. Once the server has forgotten the request, nothing
    /// changes.
    pub fn settle_answered(
        &mut self,
        departure: &mut Departure,
        answered: Moment,
        cost: Cost,
        now: Moment,
    ) {
        self.settle_limits(*departure, Some(answered), cost, now);
        departure.cost = cost;
    }

    /// Corrects a cost in every limit. Returns the loads that it removes and adds.
    fn settle_limits(
        &mut self,
        departure: Departure,
        answered: Option<Moment>,
        cost: Cost,
        now: Moment,
    ) -> (Load, Load) {
        let is_latest = self.shared.path.is_latest(departure);
        let (conditions, limits) = self.at(now);
        for limit in limits {
            limit.settle(departure, answered, cost, is_latest, conditions);
        }
        let (before, after) = (Load::of(departure.cost), Load::of(cost));
        let (removed, added) = (before.minus(after), after.minus(before));
        self.ceiling.add_cost(added.counted(self.quota.first.unit));
        self.shared.path.add_cost(departure, added.cost);
        (removed, added)
    }

    /// Replaces the quota. Requests that departed before count in the new windows.
    ///
    /// A rate that was lowered by throttled responses stays lowered by the same share. For one
    /// window the interval is that of a new process. All waiters have to ask again.
    ///
    /// Before a change from limits in requests to limits in [`Cost`], let a window pass. The
    /// limiter knows the cost of requests in flight, but only the number of requests that ended.
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
        // A limiter that has started is not unused, even if the new quota states it.
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
        self.update_uncertainty();
    }

    /// Records that the server's windows were reset: it counts no request from before. All waiters
    /// have to ask again.
    ///
    /// It is for a limit that is reset at a time that no response states, such as a daily limit at
    /// midnight. The whole burst may depart at once, as with
    /// [`unused_at_start`](Quota::unused_at_start). A call before the server's own reset gets
    /// requests throttled. Requests in flight may count in the new window, and hold slots of it. A
    /// closed gate and a lowered rate stay as they are.
    pub fn record_reset(&mut self, now: Moment) {
        let quota = Quota {
            unused_at_start: true,
            ..self.quota
        };
        let in_flight = self.in_flight;
        let (_, limits) = self.at(now);
        for limit in limits {
            limit.record_reset(&quota, in_flight, now);
        }
        self.ceiling = Ceiling::default();
        self.update_uncertainty();
    }

    /// Closes the gate until `until`. A gate that is closed for longer stays closed.
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

    /// Returns the cost in flight, in the unit of the quota's first limit.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.counted(self.quota.first.unit)
    }

    /// Returns the cost that may still count at the server, by the quota's first limit.
    #[must_use]
    pub fn counted(&mut self, now: Moment) -> u64 {
        self.limits
            .first_mut()
            .map_or(0, |limit| limit.window.held(now))
    }

    /// Returns the moment at which the gate opens. It has passed if the gate is open.
    #[inline]
    #[must_use]
    pub fn open_from(&self) -> Moment {
        self.gate.open_from()
    }

    /// Returns the moment at which the gate opens, or the reset of a limit that other clients have
    /// used up, if that is later. It has passed if neither holds requests back.
    #[must_use]
    pub fn closed_until(&self) -> Moment {
        self.gate.open_from().max(self.ceiling.open_from())
    }

    /// Returns the assumed jitter: how much transit times to the server may vary.
    #[must_use]
    pub fn assumed_jitter(&self) -> Duration {
        self.shared.jitter.assumed()
    }

    /// Returns whether a new limiter of the same quota can replace this one.
    ///
    /// That is true if no request is in flight or may still count, no stated limit is in force, the
    /// gate is open, and the rate has recovered. What was learned of the path is lost.
    #[must_use]
    pub fn is_as_new(&mut self, now: Moment) -> bool {
        let is_open = self.gate.open_from() <= now && !self.ceiling.holds(now);
        let is_whole = self.shared.recovery.share_at(now).is_full();
        let is_idle = self.in_flight == Load::default();
        is_open && is_whole && is_idle && self.limits.iter_mut().all(|limit| limit.is_as_new(now))
    }

    /// Returns the conditions and the limits at `now`. The first call starts the limits.
    #[inline]
    fn at(&mut self, now: Moment) -> (Conditions<'_>, &mut [LimitState]) {
        if self.limits.is_empty() {
            self.start(now);
        }
        if let Some(unanswered) = &mut self.shared.unanswered {
            unanswered.drop_before(now);
        }
        self.conditions(now)
    }

    /// Returns the same, without a start: an answer comes after a departure.
    #[inline]
    fn conditions(&mut self, now: Moment) -> (Conditions<'_>, &mut [LimitState]) {
        let conditions = Conditions {
            now,
            shared: &self.shared,
        };
        (conditions, &mut self.limits)
    }

    /// Starts all limits at `now`.
    // Cold: it runs once in the life of a limiter or a quota.
    #[cold]
    fn start(&mut self, now: Moment) {
        let quota = &self.quota;
        let limits = quota
            .policies()
            .map(|policy| LimitState::starting(policy, quota, now));
        self.limits.extend(limits);
    }

    /// Records that a departure is no longer in flight.
    #[inline]
    fn end(&mut self, departure: Departure) {
        self.in_flight = self.in_flight.minus(Load::of(departure.cost));
    }

    /// Records the answer of the server or a gateway in the path. Returns the proof, if it is one.
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

    /// Changes what was learned of the jitter, and the pace of every limit if the assumption
    /// changes.
    #[inline]
    fn change_jitter(&mut self, change: impl FnOnce(&mut Jitter)) {
        let before = self.shared.jitter.span();
        change(&mut self.shared.jitter);
        if self.shared.jitter.span() != before {
            self.update_uncertainty();
            // A heavy request may have a shorter lead now, so its waiter has to ask again.
            self.is_awaited = true;
        }
    }

    /// Sets the assumed jitter of every limit.
    // Cold: the assumption changes seldom, and each limit then computes its pace with divisions.
    #[cold]
    fn update_uncertainty(&mut self) {
        let uncertainty = Uncertainty {
            jitter: self.shared.jitter.span(),
            ..self.quota.widest_uncertainty()
        };
        for limit in &mut self.limits {
            limit.set_uncertainty(uncertainty);
        }
    }

    /// Records the limits that an answer states. Returns whether requests may depart sooner.
    fn record_stated(
        &mut self,
        answered: Departure,
        since: Load,
        is_throttled: bool,
        stated: &[StatedLimit],
        now: Moment,
    ) -> bool {
        let closed_until = self.ceiling.open_from();
        let (in_flight, counted) = (self.in_flight(), self.counted(now));
        let of_first = |stated_limit: &&StatedLimit| self.quota.first.has_unit_of(stated_limit);
        for stated_limit in stated.iter().filter(of_first) {
            self.ceiling
                .record_stated(stated_limit, &self.quota, in_flight, counted, now);
        }
        let mut is_sooner = self.ceiling.open_from() < closed_until;
        for index in 0..self.limits.len() {
            // A throttled response ends or uses up an allowance in `record_throttled`. It opens
            // none.
            if !is_throttled && let Some(stated_limit) = self.stated_limit_of(index, stated) {
                is_sooner |= self.limits[index].record_stated(stated_limit, answered, since, now);
            }
        }
        is_sooner
    }

    /// Returns the stated limit that belongs to one of ours with a long window.
    ///
    /// That is the one with the same number, or the only one if none of our limits has its number.
    fn stated_limit_of<'a>(
        &self,
        index: usize,
        stated: &'a [StatedLimit],
    ) -> Option<&'a StatedLimit> {
        let policy = &self.limits[index].policy;
        let longest = policy.counted_window().duration() + TICK;
        // If more remains than the limit has, or the reset is beyond a window, the fields mean
        // something else.
        let fits = |stated_limit: &&StatedLimit| {
            let is_within = stated_limit.limit >= Some(stated_limit.remaining);
            let is_alike = policy.has_unit_of(stated_limit);
            is_alike && is_within && stated_limit.reset <= longest
        };
        let is_of = |limit: &LimitState, stated_limit: &StatedLimit| {
            let is_alike = limit.policy.has_unit_of(stated_limit);
            is_alike && stated_limit.limit == Some(u64::from(limit.policy.limit))
        };
        let same = stated
            .iter()
            .filter(fits)
            .find(|stated_limit| is_of(&self.limits[index], stated_limit));
        let mut alike = stated
            .iter()
            .filter(|stated_limit| policy.has_unit_of(stated_limit));
        let only = alike.next().filter(|_| alike.next().is_none());
        let only = only
            .filter(fits)
            .filter(|stated_limit| !self.limits.iter().any(|limit| is_of(limit, stated_limit)));
        same.or(only).filter(|_| policy.has_allowance())
    }

    /// Records a throttled response of the server.
    // Cold: a limiter that keeps its promise has none.
    #[cold]
    fn throttle(
        &mut self,
        sent: Moment,
        now: Moment,
        retry_after: Option<Duration>,
        stated: &[StatedLimit],
    ) {
        self.change_jitter(Jitter::reset);
        let used_up = self.record_throttled(stated, now);
        let hint = nonzero(retry_after).map(|time| time.min(self.quota.max_retry_after));
        self.close_gate(sent, now, hint.or(used_up));
    }

    /// Records a throttled response in every limit. Returns the time to the stated reset, if
    /// nothing remains until then and the reset lies within a window of ours.
    fn record_throttled(&mut self, stated: &[StatedLimit], now: Moment) -> Option<Duration> {
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
            self.is_awaited |= limit.record_throttled(used_up.is_some(), now);
        }
        let longest = self.quota.max_retry_after.max(window);
        used_up.map(|reset| (reset + TICK).min(longest))
    }

    /// Closes the gate for `hint`, or for the default pause, and lowers the rate.
    fn close_gate(&mut self, sent: Moment, now: Moment, hint: Option<Duration>) {
        let pause = shortest_window(&self.quota) + self.shared.jitter.assumed();
        match self.gate.close(sent, now, hint, pause) {
            // The rate is lowered once per closing, not once per throttled request of a burst.
            Closing::New => self.shared.recovery.lower(now, self.gate.open_from()),
            // The pause may have become longer, and the climb starts after it.
            Closing::Known => self.shared.recovery.postpone(self.gate.open_from()),
        }
        for limit in &mut self.limits {
            limit.forget_pace();
        }
    }
}

/// The unanswered requests of the last `max_transit`.
///
/// They may reach the server's counter after it wrote an answer, so the cost that the answer states
/// to remain may not include them.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    /// The quota's `max_transit`.
    transit: Span,
    /// The number of requests, each until the transit after its departure.
    requests: Slots,
    /// Their cost, for the same time.
    cost: Slots,
}

impl Unanswered {
    /// Returns an empty record; none if no limit of the quota relies on the server's statements.
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

    /// Returns whether the record is valid under `quota`: its times depend on the transit.
    fn is_for(&self, quota: &Quota) -> bool {
        self.transit == Span::of(quota.max_transit)
    }

    /// Returns the record with the load in flight, as if it departed now: its times are unknown.
    fn starting_with(mut self, in_flight: Load, now: Moment) -> Self {
        self.depart(in_flight, now);
        self
    }

    /// Drops the requests that departed `max_transit` before `now`.
    fn drop_before(&mut self, now: Moment) {
        self.requests.held_at(now);
        self.cost.held_at(now);
    }

    /// Returns the load at the time of the last [`drop_before`](Self::drop_before).
    // Never inlined: few quotas need it, and it would crowd out the departures of all others.
    #[inline(never)]
    pub(crate) fn load(&self) -> Load {
        Load {
            requests: self.requests.held_at_most(),
            cost: self.cost.held_at_most(),
        }
    }

    /// Returns when the first request is dropped.
    pub(crate) fn first_dropped(&self) -> Option<Moment> {
        self.requests.first()
    }

    /// Records a departure.
    fn depart(&mut self, load: Load, now: Moment) {
        self.requests.hold_until(now + self.transit, load.requests);
        self.cost.hold_until(now + self.transit, load.cost);
    }

    /// Records that a request was answered or refunded.
    fn answer(&mut self, sent: Moment, cost: Cost) {
        let until = sent + self.transit;
        self.requests.release(until, 1);
        self.cost.release(until, cost.get().into());
    }

    /// Records that the cost of a departure changed.
    fn settle(&mut self, departure: Departure, removed: Load, added: Load, now: Moment) {
        let until = departure.sent + self.transit;
        self.cost.release(until, removed.cost);
        self.cost.insert(until, added.cost, now);
    }
}

/// Returns a `Retry-After`. Zero counts as none, since the server has just throttled a request.
fn nonzero(retry_after: Option<Duration>) -> Option<Duration> {
    retry_after.filter(|time| !time.is_zero())
}

/// Returns the shortest window of a quota.
///
/// A throttled response does not state its limit. So the pause starts with the shortest window, and
/// doubles until it is long enough for the right one.
fn shortest_window(quota: &Quota) -> Duration {
    let windows = quota.policies().map(|policy| policy.counted_window());
    windows.min().unwrap_or_default().duration()
}

#[cfg(test)]
mod tests;
