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

/// One limit of a quota, and what has left under it.
#[derive(Clone, Debug)]
pub(crate) struct LimitState {
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    schedule: Schedule,
    cap: Cap,
    allowance: Allowance,
    highest: HighestCost,
    /// As it was before the latest departure, until that is undone.
    highest_before: Option<HighestCost>,
    uncertainty: Uncertainty,
    /// The pace of requests of cost 1 once the start is over. Its memory is that of `highest`.
    usual: Pace,
    /// Until then the pace is that of a start.
    starts_until: Moment,
    /// The pace in force for costs up to the highest, kept because it takes divisions to find. It
    /// is found anew from `in_force_until` on; whatever it depends on sets that to the origin.
    in_force: Pace,
    /// When the pace may next get faster by itself.
    in_force_until: Moment,
}

/// What holds a request back under one limit, and whether an answer may end that sooner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) hold: Option<Hold>,
    pub(crate) is_awaited: bool,
}

/// The terms on which a request of one cost may leave at one moment.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// What the request takes of the limit. The slots count it, even if a lower limit came in
    /// between.
    units: u32,
    /// The same, and the whole limit at most.
    cost: u32,
    /// The highest cost that departed lately.
    highest: u32,
    /// The pace for costs up to that, and up to that of the request if it is more.
    pace: Pace,
    /// The moment of the next probe, if the cap holds requests back.
    probe: Option<Moment>,
}

impl LimitState {
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

    /// Assumes another uncertainty from now on.
    pub(crate) fn assume(&mut self, uncertainty: Uncertainty) {
        self.uncertainty = uncertainty;
        self.usual = self.policy.pace(uncertainty, 1);
        self.forget_pace();
    }

    /// Finds the pace anew at the next question: something that it depends on has changed.
    #[inline]
    pub(crate) fn forget_pace(&mut self) {
        self.in_force_until = Moment::FIRST;
    }

    /// Returns what holds a request of this cost back.
    #[inline]
    pub(crate) fn verdict(&mut self, cost: Cost, conditions: Conditions<'_>) -> Verdict {
        let terms = self.terms(cost, conditions);
        self.verdict_on(cost, &terms, conditions)
    }

    /// Returns the verdict on a request, and records its departure as [`depart`](Self::depart) does
    /// if nothing holds it back. The terms are found once.
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

    /// Records a departure, the one with this number.
    #[inline]
    pub(crate) fn depart(&mut self, cost: Cost, number: u32, conditions: Conditions<'_>) {
        let terms = self.terms(cost, conditions);
        self.depart_on(&terms, number, conditions.now);
    }

    /// Finds the terms on which a request of this cost may leave.
    // Always inlined, as are the two below. Several callers share each, so the compiler would call
    // them, and the usual departure would write the terms to memory and read them back.
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

    /// Returns the verdict on a request of this cost, of which the terms are known.
    #[inline]
    fn verdict_on(&mut self, cost: Cost, terms: &Terms, conditions: Conditions<'_>) -> Verdict {
        // Most limits never have one, and a decision takes a division.
        let (hold, is_awaited) = match self.allowance.is_open() {
            false => self.usual_hold(terms, conditions.now),
            true => self.allowed_hold(cost, conditions),
        };
        Verdict { hold, is_awaited }
    }

    /// Returns what holds a request back if the server's word may let it past the pace, and whether
    /// an answer may end that sooner.
    // Never inlined, and it finds its own terms: those of the usual departure stay in registers.
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
                let unanswered = conditions.shared.unanswered.as_ref();
                let over = unanswered.and_then(Unanswered::first_until);
                let then = over.map_or(end, |then| then.min(end));
                (hold.map(|hold| hold.no_later_than(then)), true)
            }
        }
    }

    /// Records a departure on these terms.
    #[inline(always)]
    fn depart_on(&mut self, terms: &Terms, number: u32, now: Moment) {
        let cost = terms.cost;
        if terms.probe.is_some() {
            self.cap.record_probe();
        }
        self.schedule
            .depart(&self.policy, &terms.pace, cost, terms.highest, now);
        self.highest_before = Some(self.highest);
        self.record_cost(cost, now);
        self.window.depart(terms.units.into(), now);
        self.allowance.depart(terms.units.into(), number, now);
    }

    /// Records that an answer proved the path. What left unproven counts as if it arrived now.
    #[inline]
    pub(crate) fn prove(&mut self, proof: &Proof, conditions: Conditions<'_>) {
        let now = conditions.now;
        let unproven = proof.unproven.counted(self.policy.unit);
        let pace = self.pace_in_force(conditions);
        let beyond_lump = pace.beyond_lump(unproven);
        if beyond_lump > Span::ZERO {
            let usual = conditions.round_trip() + conditions.jitter();
            let busy = (beyond_lump - usual).min(pace.memory);
            // "Not before now" would take the slack of a timer that is late.
            if busy > Span::ZERO {
                self.schedule.postpone(now + busy);
            }
        }
        self.cap.reset();
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

    /// Gives back a request that never left; its departure only if no later one was spaced from it.
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

    /// Records that a request in flight costs `cost`, not what it departed with.
    pub(crate) fn settle(
        &mut self,
        departure: Departure,
        cost: Cost,
        is_latest: bool,
        conditions: Conditions<'_>,
    ) {
        let (before, after) = (self.units(departure.cost), self.units(cost));
        let sent = |cost: u32| Sent {
            at: departure.sent,
            cost: cost.into(),
        };
        if after <= before {
            let spared = sent(before - after);
            self.window.refund(spared);
            self.allowance.spare(spared.cost);
            if is_latest {
                let pace = *self.pace_in_force(conditions);
                let cost = after.min(self.policy.most());
                self.schedule.spare(&pace, cost);
            }
        } else {
            let (added, now) = (sent(after - before), conditions.now);
            self.window.charge(added, now);
            self.allowance.charge(added.cost);
            let cost = after.min(self.policy.most());
            // An undo of a later departure restores the highest from before it: this cost stays
            // known.
            let undone = self.highest_before.as_mut().filter(|_| !is_latest);
            for highest in iter::once(&mut self.highest).chain(undone) {
                highest.depart(cost, now, self.usual.memory);
            }
            self.forget_pace();
            let pace = *self.pace_in_force(conditions);
            let added = after - before;
            self.schedule.charge(&pace, added, is_latest, now);
        }
    }

    /// Records what the answer to a departure states to remain of this limit. `since` has left
    /// after that departure, and `unanswered` was unanswered before it. Returns whether requests may leave sooner than they were told.
    pub(crate) fn learn(
        &mut self,
        stated_limit: &StatedLimit,
        since: Load,
        unanswered: Load,
        now: Moment,
    ) -> bool {
        let unit = self.policy.unit;
        let limit = u64::from(self.policy.limit);
        let above = stated_limit.limit.unwrap_or(limit).saturating_sub(limit);
        let stated = Stated {
            remaining: stated_limit.remaining.saturating_sub(above),
            reset: Span::of(stated_limit.reset),
            left_since: since.counted(unit),
            unanswered: unanswered.counted(unit),
        };
        let window = self.policy.counted_window();
        self.allowance.learn(stated, self.policy.limit, window, now)
    }

    /// Records that the server refused a request, and whether it stated that nothing remains.
    /// Returns whether the allowance ends with that, which may let requests leave sooner.
    pub(crate) fn refuse(&mut self, is_used_up: bool, now: Moment) -> bool {
        self.allowance.refuse(is_used_up, now)
    }

    /// Says whether nothing may still count, and no server's word is in force.
    pub(crate) fn is_as_new(&mut self, now: Moment) -> bool {
        self.window.held(now) == 0 && !self.allowance.holds(now)
    }

    /// Returns the pace in force for requests up to the highest cost that departed lately.
    #[inline]
    fn pace_in_force(&mut self, conditions: Conditions<'_>) -> &Pace {
        if conditions.now >= self.in_force_until {
            self.find_pace(conditions);
        }
        &self.in_force
    }

    #[cold]
    fn find_pace(&mut self, conditions: Conditions<'_>) {
        self.in_force = self.pace(self.highest_at(conditions.now), conditions);
        self.in_force_until = self.faster_from(conditions);
    }

    /// Returns the time between departures of requests of cost 1.
    #[inline]
    pub(crate) fn interval(&self, conditions: Conditions<'_>) -> Span {
        self.pace(1, conditions).interval
    }

    /// Finds the pace for requests up to this cost.
    // Never inlined: the usual call does not need it, and its divisions would crowd that one out.
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
        // A burst would be spent when the gate opens, just when the server is close to its limit.
        Pace {
            interval: share.stretched(pace.interval),
            memory: share.stretched(pace.memory),
            ..pace.steady()
        }
    }

    /// Records the cost of a departure. The pace depends on the highest one and on the times at
    /// which it is forgotten.
    #[inline]
    fn record_cost(&mut self, cost: u32, now: Moment) {
        if self.highest.depart(cost, now, self.usual.memory) {
            self.forget_pace();
        }
    }

    /// Takes over what has left under the limits of the quota before. `in_flight` is what has not
    /// ended, as this limit counts.
    ///
    /// It is taken from one limit: one with the same unit if there is any; then one with a window
    /// as long as this one's or longer, since it remembers all; then the shortest, since its
    /// entries are finest.
    pub(crate) fn remember(&mut self, known: &[Self], in_flight: u64, conditions: Conditions<'_>) {
        let best = known.iter().max_by_key(|limit| {
            let counts_alike = limit.policy.unit == self.policy.unit;
            let (known, own) = (limit.policy.counted_window(), self.policy.counted_window());
            (counts_alike, known.min(own), Reverse(known))
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
            .follow(&known.schedule, after.charge(highest), intervals, now);
        self.forget_pace();
    }

    #[cfg(test)]
    pub(crate) fn allowance_is_open(&self) -> bool {
        self.allowance.is_open()
    }

    /// Returns the longest hold of pace, cap and window, and whether the cap holds, which an answer
    /// can end.
    #[inline(always)]
    fn usual_hold(&mut self, terms: &Terms, now: Moment) -> (Option<Hold>, bool) {
        let faster = self.in_force_until;
        let mut hold = None;
        let mut is_capped = false;
        // Only the silence before a heavy request gets shorter with the pace.
        let due = self
            .schedule
            .due(&self.policy, &terms.pace, terms.cost, terms.highest);
        let due = due.min(faster.max(self.schedule.next()));
        if due > now {
            hold = Some(Hold::until(HoldCause::Pace, due));
        }
        if let Some(probe) = terms.probe {
            let probe = probe.min(faster);
            if probe > now {
                is_capped = true;
                hold = longer(hold, Some(Hold::until(HoldCause::Cap, probe)));
            }
        }
        if self.policy.is_guarded()
            && let Some(full) = self.window.hold(terms.cost, now)
        {
            hold = longer(hold, Some(full));
        }
        (hold, is_capped)
    }

    /// Returns when the pace may next get faster by itself: at the end of the start, at a step of
    /// the recovery, or when a heavy cost is forgotten. A time that was found with the pace in
    /// force holds no longer than that.
    fn faster_from(&self, conditions: Conditions<'_>) -> Moment {
        let now = conditions.now;
        let start = Some(self.starts_until).filter(|&end| end > now);
        let forgotten = self.highest.drops_at(now, self.usual.memory);
        let changes = [start, conditions.shared.recovery.rises_at(now), forgotten].into_iter();
        changes.flatten().min().unwrap_or(Moment::LAST)
    }

    fn decision(&self, terms: &Terms, conditions: Conditions<'_>) -> Decision {
        let unanswered = conditions.unanswered().counted(self.policy.unit);
        let (last, now) = (conditions.shared.path.last_departure(), conditions.now);
        let share = self.policy.share();
        self.allowance.decision(
            terms.cost,
            unanswered,
            terms.pace.interval,
            share,
            last,
            now,
        )
    }

    /// Returns a departure as this limit counts it.
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

    fn highest_at(&self, now: Moment) -> u32 {
        self.highest.at(now, self.usual.memory)
    }
}
