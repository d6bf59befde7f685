use std::cmp::Reverse;
use std::iter;

use crate::allowance::{Allowance, Decision, Stated};
use crate::cap::Cap;
use crate::conditions::Conditions;
use crate::fields::StatedLimit;
use crate::highest_cost::HighestCost;
use crate::hold::{Hold, HoldCause, longer};
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
    pub(crate) fn verdict(&mut self, cost: Cost, conditions: &Conditions<'_>) -> Verdict {
        let cost = self.units(cost).min(self.policy.most());
        // Most limits never have one, and a decision takes a division.
        match self.allowance.is_open() {
            false => {
                let (hold, is_awaited) = self.usual_hold(cost, conditions);
                Verdict { hold, is_awaited }
            }
            true => self.allowed_hold(cost, conditions),
        }
    }

    /// Returns what holds a request back if the server's word may let it past the pace.
    fn allowed_hold(&mut self, cost: u32, conditions: &Conditions<'_>) -> Verdict {
        let held = |by, until| (until > conditions.now).then(|| Hold::until(by, until));
        let (hold, is_awaited) = match self.decision(cost, conditions) {
            Decision::Pass(from) => (held(HoldCause::Pace, from), false),
            Decision::Closed(from) => (held(HoldCause::Allowance, from), false),
            Decision::ClosedUntilAnswer(from) => (held(HoldCause::Allowance, from), true),
            Decision::Usual => self.usual_hold(cost, conditions),
            Decision::UsualUntilAnswer(end) => {
                let (hold, _) = self.usual_hold(cost, conditions);
                // If no answer ever comes, the allowance decides again when the transit is over.
                let then = conditions
                    .unanswered_until
                    .map_or(end, |then| then.min(end));
                (hold.map(|hold| hold.no_later_than(then)), true)
            }
        };
        Verdict { hold, is_awaited }
    }

    /// Records a departure, the one with this number.
    #[inline]
    pub(crate) fn depart(&mut self, cost: Cost, number: u32, conditions: &Conditions<'_>) {
        // The slots count what the server counts, even if a lower limit came in between.
        let units = self.units(cost);
        let (cost, now) = (units.min(self.policy.most()), conditions.now);
        let (highest, pace) = self.pace_at(cost, conditions);
        if self.cap.probe(&self.policy, &pace, conditions).is_some() {
            self.cap.record_probe();
        }
        self.schedule
            .depart(&self.policy, &pace, cost, highest, now);
        self.highest_before = Some(self.highest);
        self.record_cost(cost, now);
        self.window.depart(units.into(), now);
        self.allowance.depart(units.into(), number, now);
    }

    /// Records that an answer proved the path. What left unproven counts as if it arrived now.
    #[inline]
    pub(crate) fn prove(&mut self, proof: &Proof, conditions: &Conditions<'_>) {
        let now = conditions.now;
        let unproven = proof.unproven.counted(self.policy.unit);
        let (_, pace) = self.pace_at(1, conditions);
        let beyond_lump = pace.beyond_lump(unproven);
        if beyond_lump > Span::ZERO {
            let usual = conditions.round_trip() + conditions.jitter;
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
        conditions: &Conditions<'_>,
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
                let (_, pace) = self.pace_at(1, conditions);
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
            let (_, pace) = self.pace_at(1, conditions);
            let added = after - before;
            self.schedule.charge(&pace, added, is_latest, now);
        }
    }

    /// Records what the answer to a departure states to remain of this limit. `since` has left
    /// after that departure. Returns whether requests may leave sooner than they were told.
    pub(crate) fn learn(
        &mut self,
        stated_limit: &StatedLimit,
        departure: Departure,
        since: Load,
        now: Moment,
    ) -> bool {
        let unit = self.policy.unit;
        let limit = u64::from(self.policy.limit);
        let above = stated_limit.limit.unwrap_or(limit).saturating_sub(limit);
        let stated = Stated {
            remaining: stated_limit.remaining.saturating_sub(above),
            reset: Span::of(stated_limit.reset),
            left_since: since.counted(unit),
            unanswered: departure.unanswered().counted(unit),
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

    /// Returns the highest cost that departed lately, and the pace in force for requests up to
    /// that, and up to `cost` if that is more.
    #[inline]
    fn pace_at(&mut self, cost: u32, conditions: &Conditions<'_>) -> (u32, Pace) {
        if conditions.now >= self.in_force_until {
            self.in_force = self.pace(self.highest_at(conditions.now), conditions);
            self.in_force_until = self.faster_from(conditions);
        }
        let highest = self.in_force.highest;
        match cost <= highest {
            true => (highest, self.in_force),
            false => (highest, self.pace(cost, conditions)),
        }
    }

    /// Returns the time between departures of requests of cost 1.
    #[inline]
    pub(crate) fn interval(&self, conditions: &Conditions<'_>) -> Span {
        self.pace(1, conditions).interval
    }

    /// Finds the pace for requests up to this cost.
    fn pace(&self, highest: u32, conditions: &Conditions<'_>) -> Pace {
        let pace = match highest {
            _ if conditions.now < self.starts_until => {
                self.policy.starting_pace(self.uncertainty, highest)
            }
            1 => self.usual,
            _ => self.policy.pace(self.uncertainty, highest),
        };
        let share = conditions.recovery.share_at(conditions.now);
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
        let before = self.highest;
        self.highest.depart(cost, now, self.usual.memory);
        if self.highest != before {
            self.forget_pace();
        }
    }

    /// Takes over what has left under the limits of the quota before. `in_flight` is what has not
    /// ended, as this limit counts.
    ///
    /// It is taken from one limit: one with the same unit if there is any; then one with a window
    /// as long as this one's or longer, since it remembers all; then the shortest, since its
    /// entries are finest.
    pub(crate) fn remember(&mut self, known: &[Self], in_flight: u64, conditions: &Conditions<'_>) {
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
    #[inline]
    fn usual_hold(&mut self, cost: u32, conditions: &Conditions<'_>) -> (Option<Hold>, bool) {
        let now = conditions.now;
        let (highest, pace) = self.pace_at(cost, conditions);
        let faster = self.in_force_until;
        let mut hold = None;
        let mut is_capped = false;
        // Only the silence before a heavy request gets shorter with the pace.
        let due = self.schedule.due(&self.policy, &pace, cost, highest);
        let due = due.min(faster.max(self.schedule.next()));
        if due > now {
            hold = Some(Hold::until(HoldCause::Pace, due));
        }
        if let Some(probe) = self.cap.probe(&self.policy, &pace, conditions) {
            let probe = probe.min(faster);
            if probe > now {
                is_capped = true;
                hold = longer(hold, Some(Hold::until(HoldCause::Cap, probe)));
            }
        }
        if self.policy.is_guarded()
            && let Some(full) = self.window.hold(cost, now)
        {
            hold = longer(hold, Some(full));
        }
        (hold, is_capped)
    }

    /// Returns when the pace may next get faster by itself: at the end of the start, at a step of
    /// the recovery, or when a heavy cost is forgotten. A time that was found with the pace in
    /// force holds no longer than that.
    fn faster_from(&self, conditions: &Conditions<'_>) -> Moment {
        let now = conditions.now;
        let start = Some(self.starts_until).filter(|&end| end > now);
        let forgotten = self.highest.drops_at(now, self.usual.memory);
        let changes = [start, conditions.recovery.rises_at(now), forgotten].into_iter();
        changes.flatten().min().unwrap_or(Moment::LAST)
    }

    fn decision(&mut self, cost: u32, conditions: &Conditions<'_>) -> Decision {
        let (_, pace) = self.pace_at(cost, conditions);
        let unanswered = conditions.unanswered.counted(self.policy.unit);
        let (last, now) = (conditions.path.last_departure(), conditions.now);
        let share = self.policy.share();
        self.allowance
            .decision(cost, unanswered, pace.interval, share, last, now)
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
