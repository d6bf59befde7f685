use std::cmp::Reverse;
use std::iter;

use crate::allowance::{Allowance, Decision, Stated};
use crate::cap::Cap;
use crate::conditions::Conditions;
use crate::fields::StatedLimit;
use crate::highest_cost::HighestCost;
use crate::hold::{Hold, HoldCause, longer};
use crate::limiter::Unanswered;
use crate::moment::Span;
use crate::path::Proof;
use crate::policy::{Pace, Policy, Uncertainty};
use crate::schedule::Schedule;
use crate::unit::Load;
use crate::window::{Sent, Window};
use crate::{Cost, Departure, Moment, Quota};

/// One limit of a quota, and its state.
///
/// A request departs when the schedule, the cap and the window of each limit allow it. An open
/// allowance may replace these three rules.
#[derive(Clone, Debug)]
pub(crate) struct LimitState {
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    schedule: Schedule,
    cap: Cap,
    allowance: Allowance,
    highest: HighestCost,
    /// `highest` as it was before the latest departure, until that is undone.
    highest_before: Option<HighestCost>,
    uncertainty: Uncertainty,
    /// The pace of requests of cost 1 once the start is over. Its memory is that of `highest`.
    usual: Pace,
    /// Before this moment the pace is that of a start.
    starts_until: Moment,
    /// The pace in force for costs up to the highest, kept since it takes divisions to compute. It
    /// is computed again from `in_force_until` on. Every change that it depends on calls
    /// [`forget_pace`](Self::forget_pace), or requests would depart at a stale pace.
    in_force: Pace,
    /// The next moment at which the pace may get faster without an event.
    in_force_until: Moment,
}

/// The decision of one limit about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// The longest hold; none if the request may depart.
    pub(crate) hold: Option<Hold>,
    /// Whether an answer may end the hold sooner.
    pub(crate) is_awaited: bool,
}

/// The inputs of a decision about one cost at one moment. They are computed once, for the question
/// and for the departure.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// The part of the limit that the request takes. The slots hold all of it, so that its answer
    /// finds it even after a change to a lower limit.
    units: u32,
    /// The same, bounded by the whole limit.
    cost: u32,
    /// The highest cost that the server may still remember.
    highest: u32,
    /// The pace for costs up to the higher one of `highest` and `cost`.
    pace: Pace,
    /// The moment of the next probe, if the cap holds requests back.
    probe: Option<Moment>,
}

impl LimitState {
    /// Returns a limit that starts at `now`.
    pub(crate) fn starting(policy: Policy, quota: &Quota, now: Moment) -> Self {
        let uncertainty = quota.widest_uncertainty();
        let usual = policy.pace(uncertainty, 1);
        let (schedule, starts_until) = match quota.unused_at_start {
            true => (Schedule::unused(now, &usual), now),
            false => (
                Schedule::starting(now, &policy.starting_pace(uncertainty, 1)),
                now + policy.counted_window() + uncertainty.jitter,
            ),
        };
        Self {
            policy,
            window: Window::new(&policy, quota),
            schedule,
            cap: Cap::default(),
            allowance: Allowance::default(),
            highest: HighestCost::default(),
            highest_before: None,
            uncertainty,
            usual,
            starts_until,
            in_force: usual,
            in_force_until: Moment::FIRST,
        }
    }

    /// Starts a new window at `now`, in which only the requests in flight may count. `quota` states
    /// that nothing else was used.
    pub(crate) fn record_reset(&mut self, quota: &Quota, in_flight: Load, now: Moment) {
        let mut next = Self::starting(self.policy, quota, now);
        next.window
            .hold_in_flight(in_flight.counted(self.policy.unit), now);
        next.highest = self.highest;
        next.cap = self.cap;
        *self = next;
    }

    /// Sets the uncertainty of the path and the timers.
    pub(crate) fn set_uncertainty(&mut self, uncertainty: Uncertainty) {
        self.uncertainty = uncertainty;
        self.usual = self.policy.pace(uncertainty, 1);
        self.forget_pace();
    }

    /// Lets the next question compute the pace again, since one of its inputs changed.
    #[inline]
    pub(crate) fn forget_pace(&mut self) {
        self.in_force_until = Moment::FIRST;
    }

    /// Returns the decision about a request of this cost.
    #[inline]
    pub(crate) fn verdict(&mut self, cost: Cost, conditions: Conditions<'_>) -> Verdict {
        let terms = self.terms(cost, conditions);
        self.verdict_on(cost, &terms, conditions)
    }

    /// Returns the decision about a request, and records its departure if nothing holds it back.
    ///
    /// It does the same as [`verdict`](Self::verdict) and [`depart`](Self::depart), but computes
    /// the terms once.
    #[inline]
    pub(crate) fn try_depart(
        &mut self,
        cost: Cost,
        number: u32,
        conditions: Conditions<'_>,
    ) -> Verdict {
        let terms = self.terms(cost, conditions);
        let verdict = self.verdict_on(cost, &terms, conditions);
        if verdict.hold.is_none() {
            self.depart_on(&terms, number, conditions.now);
        }
        verdict
    }

    /// Records the departure with this number.
    #[inline]
    pub(crate) fn depart(&mut self, cost: Cost, number: u32, conditions: Conditions<'_>) {
        let terms = self.terms(cost, conditions);
        self.depart_on(&terms, number, conditions.now);
    }

    /// Computes the terms of a request of this cost.
    // Always inlined, as are `depart_on` and `usual_hold`. Each has several callers, so the
    // compiler would emit calls, and the usual departure would write the terms to memory and read
    // them back.
    #[inline(always)]
    fn terms(&mut self, cost: Cost, conditions: Conditions<'_>) -> Terms {
        let units = self.units(cost);
        let cost = units.min(self.policy.most());
        let in_force = *self.pace_in_force(conditions);
        let highest = in_force.highest;
        let pace = match cost <= highest {
            true => in_force,
            false => self.pace(cost, conditions),
        };
        Terms {
            units,
            cost,
            highest,
            pace,
            probe: self.cap.probe(&self.policy, &pace, conditions),
        }
    }

    /// Returns the decision about a request of this cost with known terms.
    #[inline]
    fn verdict_on(&mut self, cost: Cost, terms: &Terms, conditions: Conditions<'_>) -> Verdict {
        // Most limits never have an allowance, and its decision takes a division.
        let (hold, is_awaited) = match self.allowance.is_open() {
            false => self.usual_hold(terms, conditions.now),
            true => self.allowed_hold(cost, conditions),
        };
        Verdict { hold, is_awaited }
    }

    /// Returns the hold under an open allowance, and whether an answer may end it sooner.
    // Never inlined, and it computes its own terms: those of the usual departure stay in registers.
    #[inline(never)]
    fn allowed_hold(&mut self, cost: Cost, conditions: Conditions<'_>) -> (Option<Hold>, bool) {
        let (terms, now) = (self.terms(cost, conditions), conditions.now);
        let held = |by, until| (until > now).then(|| Hold::until(by, until));
        match self.decision(&terms, conditions) {
            Decision::Pass(from) => (held(HoldCause::Pace, from), false),
            Decision::Closed(from) => (held(HoldCause::Allowance, from), false),
            Decision::ClosedUntilAnswer(from) => (held(HoldCause::Allowance, from), true),
            Decision::Usual => self.usual_hold(&terms, now),
            Decision::UsualUntilAnswer(end) => {
                let (hold, _) = self.usual_hold(&terms, now);
                // If no answer ever comes, the allowance decides again when the transit is over.
                // Without this a waiter would sleep until the reset.
                let unanswered = conditions.shared.unanswered.as_ref();
                let over = unanswered.and_then(Unanswered::first_dropped);
                let then = over.map_or(end, |then| then.min(end));
                (hold.map(|hold| hold.no_later_than(then)), true)
            }
        }
    }

    /// Records a departure on these terms.
    // Always inlined: see `terms`.
    #[inline(always)]
    fn depart_on(&mut self, terms: &Terms, number: u32, now: Moment) {
        let cost = terms.cost;
        if terms.probe.is_some() {
            self.cap.record_probe();
        }
        self.schedule
            .depart(&self.policy, &terms.pace, cost, terms.highest, number, now);
        self.highest_before = Some(self.highest);
        self.record_cost(cost, now);
        self.window.depart(terms.units.into(), now);
        self.allowance.depart(terms.units.into(), number, now);
    }

    /// Records that an answer proved the path. The unproven load counts as if it arrived now.
    #[inline]
    pub(crate) fn prove(&mut self, proof: &Proof, conditions: Conditions<'_>) {
        let now = conditions.now;
        let unproven = proof.unproven.counted(self.policy.unit);
        let pace = self.pace_in_force(conditions);
        let beyond = pace.time_beyond_burst(unproven);
        // More than a burst may arrive at once. The server is busy with the rest of it for as long
        // as the pace takes, less the round trip that was expected anyway.
        if beyond > Span::ZERO {
            let usual = conditions.round_trip() + conditions.jitter();
            let busy = (beyond - usual).min(pace.memory);
            // Postponing until now would take the slack of a late timer, so zero is skipped.
            if busy > Span::ZERO {
                self.schedule.postpone(now + busy);
            }
        }
        self.cap.reset();
        // The silence may have been longer than the slots were held.
        if proof.ends_silence {
            self.window.hold_again(unproven, proof.since, now);
        }
    }

    /// Records that the server's own answer came at `now`.
    #[inline]
    pub(crate) fn answer(&mut self, departure: Departure, now: Moment) {
        self.window.answer(self.sent(departure), now);
        self.allowance.end(departure.number);
    }

    /// Records that a request ended at `now` without the server's own answer.
    pub(crate) fn abandon(&mut self, departure: Departure, now: Moment) {
        self.window.abandon(self.sent(departure), now);
        self.allowance.end(departure.number);
    }

    /// Records that a request was never sent.
    ///
    /// Its slots are released. Its departure is undone only if no later one was spaced from it.
    pub(crate) fn refund(&mut self, departure: Departure, is_latest: bool) {
        let sent = self.sent(departure);
        self.window.refund(sent);
        self.allowance.refund(sent.cost, departure.number);
        if is_latest {
            self.schedule.undo();
            self.highest = self.highest_before.take().unwrap_or(self.highest);
            self.forget_pace();
        }
    }

    /// Records that a request costs `cost`, and not the cost that it departed with. `answered` is
    /// the time of its answer, unless it is in flight.
    pub(crate) fn settle(
        &mut self,
        departure: Departure,
        answered: Option<Moment>,
        cost: Cost,
        is_latest: bool,
        conditions: Conditions<'_>,
    ) {
        let now = conditions.now;
        let held = self.policy.counted_window().max(self.usual.memory);
        // The server has forgotten the request, so it takes no part of the limit any more.
        if answered.is_some() && now >= departure.sent + conditions.shared.transit + held {
            return;
        }
        let (before, after) = (self.units(departure.cost), self.units(cost));
        // A limit of requests counts one, whatever the cost.
        if before == after {
            return;
        }
        let sent = |cost: u32| Sent {
            at: departure.sent,
            cost: cost.into(),
        };
        if after <= before {
            let removed = sent(before - after);
            match answered {
                Some(answered) => self.window.remove_answered_cost(removed, answered),
                None => self.window.refund(removed),
            }
            self.allowance.remove_cost(removed.cost, departure.number);
            let [before, after] = [before, after].map(|cost| cost.min(self.policy.most()));
            if is_latest {
                let pace = *self.pace_in_force(conditions);
                self.schedule.lower_latest_cost(&pace, after);
            } else {
                self.schedule.lower_cost(departure.number, before - after);
            }
        } else {
            let added = sent(after - before);
            match answered {
                Some(answered) => self.window.add_answered_cost(added, answered, now),
                None => self.window.add_cost(added, now),
            }
            self.allowance.raise_cost(added.cost, departure.number);
            let cost = after.min(self.policy.most());
            // An undo of the latest departure restores the highest cost from before it. That one
            // must include this cost, since the server has counted it.
            let undone = self.highest_before.as_mut().filter(|_| !is_latest);
            for highest in iter::once(&mut self.highest).chain(undone) {
                highest.depart(cost, now, self.usual.memory);
            }
            self.forget_pace();
            let pace = *self.pace_in_force(conditions);
            let added = after - before;
            self.schedule
                .add_cost(&pace, added, departure.number, is_latest, now);
        }
    }

    /// Records the statement of an answer about this limit. Returns whether requests may depart
    /// sooner than an earlier decision allowed.
    ///
    /// `since` is the load that departed after the answered request.
    pub(crate) fn record_stated(
        &mut self,
        stated_limit: &StatedLimit,
        answered: Departure,
        since: Load,
        now: Moment,
    ) -> bool {
        let unit = self.policy.unit;
        // The configured limit may be lower than the stated one, to leave a part to others.
        let own = u64::from(self.policy.limit);
        let above = stated_limit.limit.unwrap_or(own).saturating_sub(own);
        let stated = Stated {
            remaining: stated_limit.remaining.saturating_sub(above),
            reset: Span::of(stated_limit.reset),
            departed_since: since.counted(unit),
            unanswered: answered.unanswered().counted(unit),
            number: answered.number,
        };
        let window = self.policy.counted_window();
        self.allowance
            .record_stated(stated, self.policy.limit, window, now)
    }

    /// Records a throttled response, and whether it states that nothing remains. Returns whether
    /// that ends the allowance, so that requests may depart sooner.
    pub(crate) fn record_throttled(&mut self, is_used_up: bool, now: Moment) -> bool {
        self.allowance.record_throttled(is_used_up, now)
    }

    /// Returns whether no request may still count, and no allowance is open.
    pub(crate) fn is_as_new(&mut self, now: Moment) -> bool {
        self.window.held(now) == 0 && !self.allowance.holds(now)
    }

    /// Returns the pace in force for requests up to the highest cost that is remembered.
    #[inline]
    fn pace_in_force(&mut self, conditions: Conditions<'_>) -> &Pace {
        if conditions.now >= self.in_force_until {
            self.compute_pace(conditions);
        }
        &self.in_force
    }

    /// Computes the pace in force, and the moment until which it holds.
    // Cold: it runs after changes only, and has several divisions.
    #[cold]
    fn compute_pace(&mut self, conditions: Conditions<'_>) {
        self.in_force = self.pace(self.highest_at(conditions.now), conditions);
        self.in_force_until = self.faster_from(conditions);
    }

    /// Returns the time between departures of requests of cost 1.
    #[inline]
    pub(crate) fn interval(&self, conditions: Conditions<'_>) -> Span {
        self.pace(1, conditions).interval
    }

    /// Computes the pace for requests up to this cost.
    // Never inlined: the usual departure has its pace, and the divisions here would crowd it out.
    #[inline(never)]
    fn pace(&self, highest: u32, conditions: Conditions<'_>) -> Pace {
        let pace = match highest {
            _ if conditions.now < self.starts_until => {
                self.policy.starting_pace(self.uncertainty, highest)
            }
            1 => self.usual,
            _ => self.policy.pace(self.uncertainty, highest),
        };
        let share = conditions.shared.recovery.share_at(conditions.now);
        if share.is_full() {
            return pace;
        }
        // No burst during a recovery: it would depart when the gate opens, just when the server is
        // close to its limit.
        Pace {
            interval: share.stretched(pace.interval),
            memory: share.stretched(pace.memory),
            ..pace.steady()
        }
    }

    /// Records the cost of a departure. The pace depends on the highest cost, and on the time at
    /// which that is forgotten.
    #[inline]
    fn record_cost(&mut self, cost: u32, now: Moment) {
        if self.highest.depart(cost, now, self.usual.memory) {
            self.forget_pace();
        }
    }

    /// Copies the state of one limit of the previous quota. `in_flight` is the load in flight, in
    /// this limit's unit.
    ///
    /// A limit with the same unit is preferred. Of those, one with a window as long as this one's
    /// or longer, since it remembers all requests that may count. Of those, the one with the
    /// shortest window, since its entries are finest.
    pub(crate) fn remember(&mut self, known: &[Self], in_flight: u64, conditions: Conditions<'_>) {
        let best = known.iter().max_by_key(|other| {
            let counts_alike = other.policy.unit == self.policy.unit;
            let (theirs, own) = (other.policy.counted_window(), self.policy.counted_window());
            (counts_alike, theirs.min(own), Reverse(theirs))
        });
        let Some(known) = best else { return };
        let (now, counts_alike) = (conditions.now, known.policy.unit == self.policy.unit);
        self.window
            .remember(&known.window, in_flight, counts_alike, now);
        self.cap = known.cap;
        self.allowance = match known.policy == self.policy {
            true => known.allowance,
            false => Allowance::following(&known.allowance, now + self.policy.counted_window()),
        };
        self.highest = known.highest;
        let highest = self.highest_at(now);
        let (before, after) = (known.pace(1, conditions), self.pace(highest, conditions));
        let intervals = [before.interval, self.pace(1, conditions).interval];
        self.schedule
            .follow(&known.schedule, after.spacing(highest), intervals, now);
        self.forget_pace();
    }

    #[cfg(test)]
    pub(crate) fn allowance_is_open(&self) -> bool {
        self.allowance.is_open()
    }

    /// Returns the longest hold of pace, cap and window, and whether the cap is one of them: an
    /// answer can end the cap.
    // Always inlined: see `terms`.
    #[inline(always)]
    fn usual_hold(&mut self, terms: &Terms, now: Moment) -> (Option<Hold>, bool) {
        let faster = self.in_force_until;
        let mut hold = None;
        let mut is_capped = false;
        // A planned time does not move with the pace. Only the lead of a heavy request gets shorter
        // when the pace gets faster, so that request has to ask again at that time.
        let due = self
            .schedule
            .due(&self.policy, &terms.pace, terms.cost, terms.highest);
        let due = due.min(faster.max(self.schedule.next()));
        if due > now {
            hold = Some(Hold::until(HoldCause::Pace, due));
        }
        if let Some(probe) = terms.probe {
            // A faster pace has a shorter gap.
            let probe = probe.min(faster);
            if probe > now {
                is_capped = true;
                hold = longer(hold, Some(Hold::until(HoldCause::Cap, probe)));
            }
        }
        if self.policy.is_held_by_slots()
            && let Some(full) = self.window.hold(terms.cost, now)
        {
            hold = longer(hold, Some(full));
        }
        (hold, is_capped)
    }

    /// Returns when the pace may next get faster without an event: at the end of the start, at a
    /// step of the recovery, or when a high cost is forgotten.
    ///
    /// A hold that was computed with the pace in force ends then at the latest.
    fn faster_from(&self, conditions: Conditions<'_>) -> Moment {
        let now = conditions.now;
        let start = Some(self.starts_until).filter(|&end| end > now);
        let forgotten = self.highest.drops_at(now, self.usual.memory);
        let changes = [start, conditions.shared.recovery.rises_at(now), forgotten].into_iter();
        changes.flatten().min().unwrap_or(Moment::LAST)
    }

    /// Returns the decision of the allowance.
    fn decision(&self, terms: &Terms, conditions: Conditions<'_>) -> Decision {
        let unanswered = conditions.unanswered().counted(self.policy.unit);
        let (last, now) = (conditions.shared.path.last_departure(), conditions.now);
        let refill_interval = self.policy.refill_interval();
        self.allowance.decision(
            terms.cost,
            unanswered,
            terms.pace.interval,
            refill_interval,
            last,
            now,
        )
    }

    /// Returns a departure in this limit's unit.
    #[inline]
    fn sent(&self, departure: Departure) -> Sent {
        Sent {
            at: departure.sent,
            cost: self.units(departure.cost).into(),
        }
    }

    /// Returns the part of this limit that a request of this cost takes.
    #[inline]
    fn units(&self, cost: Cost) -> u32 {
        self.policy.unit.of(cost).get()
    }

    /// Returns the highest cost that the server may remember at `now`.
    fn highest_at(&self, now: Moment) -> u32 {
        self.highest.at(now, self.usual.memory)
    }
}
