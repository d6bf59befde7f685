use std::time::Duration;

use crate::Moment;
use crate::departure::is_after;
use crate::moment::Span;

/// A server states whole seconds, so its reset may be up to one second later than stated. With
/// less, requests depart before the reset and are throttled. With more, a second of every window is
/// lost.
const TICK: Span = Span::of(Duration::from_secs(1));
/// The shortest interval of requests that an allowance lets depart. If the server's statement is
/// wrong, a throttled response arrives before many have departed. With less, more of them are
/// throttled then. With more, a short program waits longer without need.
const MIN_GAP: Span = Span::of(Duration::from_millis(10));
/// The longest wait for the end of the first request after a reset. With less, a slow answer is
/// missed and the new window is used at the pace. With more, one hung request holds all others back
/// for longer.
const PROBE_TIME: Span = Span::of(Duration::from_secs(5));
/// The reset of a new window is later by this percentage of the window, less two ticks. The
/// difference to 100 % is for clocks that differ. With a lower percentage the reset of a sliding
/// log could look like a new window.
const NEW_WINDOW_PERCENT: u64 = 99;

/// The cost that remains of one limit, as the server states it. It may depart faster than the pace.
///
/// Until the reset, the allowance is open, and the remaining cost may depart. At the reset the
/// first request is a probe: its answer may open the allowance for the next window.
///
/// # Why the remaining cost may depart
///
/// An answer x states the remaining cost and the reset. A request that was answered before the
/// request of x departed, or that departed `max_transit` before it, was counted before x. So only
/// two kinds of requests can take from it: those that were unanswered when the request of x
/// departed, and those that departed after it. No server lowers it by itself, so the lowest of
/// several statements is safe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    open: Option<Open>,
    probe: Probe,
    /// A request was throttled while some cost remained, so the fields mean something else.
    is_misleading: bool,
    /// Until this moment the server may have counted more than the limit, since the limit was
    /// lowered. A reset may free nothing then.
    over_full_until: Moment,
}

/// The cost that remains of one window.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The cost that may still depart by the first statement, less what departed since. Negative
    /// if more departed than the statement allows.
    own: i64,
    /// The same by the lowest statement.
    stated: i64,
    /// Whether a request that a statement includes has taken less than it was charged. The lowest
    /// statement may then be too low.
    is_overcharged: bool,
    /// The reset.
    until: Moment,
    /// The number of the departure whose answer was the first statement.
    opened_by: u32,
    /// The number of the last departure whose answer was a statement.
    stated_by: u32,
    /// Whether it was opened within a window after a change of the quota.
    over_full: bool,
    /// Whether the server stated a later reset since, while less than half of the limit remains. It
    /// has no fixed windows then, or the next window is used already.
    slides: bool,
}

impl Open {
    /// Returns the cost that may still depart.
    fn remaining(&self) -> i64 {
        self.own.min(self.stated)
    }

    /// Records a statement before the reset, by which `remaining` is left.
    ///
    /// Answers may overtake each other, so the lowest statement counts. If requests took less than
    /// it includes, the statement of a later request counts. That one is safe by itself, less what
    /// was unanswered, as the first one is.
    fn record_stated(&mut self, stated: Stated, remaining: i64) {
        if is_after(stated.number, self.stated_by) {
            self.stated_by = stated.number;
            if self.is_overcharged {
                let safe = remaining.saturating_sub_unsigned(stated.unanswered);
                self.stated = self.stated.max(safe);
            }
        }
        self.stated = self.stated.min(remaining);
    }
}

/// The state of the probe, the first request after the reset.
#[derive(Clone, Copy, Debug, Default)]
enum Probe {
    /// No request has departed since the reset.
    #[default]
    Waiting,
    /// The probe has departed, and its answer may state a new window.
    InFlight { number: u32, since: Moment },
    /// The probe ended, and the allowance is still that of the old window.
    Ended,
}

/// The statement of an answer about one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated {
    /// The cost that remains of the configured limit.
    pub(crate) remaining: u64,
    pub(crate) reset: Span,
    /// The cost that departed after the request that was answered.
    pub(crate) departed_since: u64,
    /// The cost that was unanswered when that request departed.
    pub(crate) unanswered: u64,
    /// The number of that request.
    pub(crate) number: u32,
}

/// The decision of an allowance about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The usual rules decide: pace, window and cap.
    Usual,
    /// The usual rules decide until this moment. The end of the unanswered requests may change that
    /// sooner, or the transit after their departure.
    UsualUntilAnswer(Moment),
    /// The request may depart from this moment on. The usual rules do not apply.
    Pass(Moment),
    /// The request may not depart before this moment.
    Closed(Moment),
    /// The request may not depart before this moment. The end of the probe may change that sooner.
    ClosedUntilAnswer(Moment),
}

impl Allowance {
    /// Returns whether the allowance may decide anything.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some() && !self.is_misleading
    }

    /// Returns the decision about a request of this cost. `unanswered` is the cost that may not
    /// have arrived yet.
    ///
    /// `interval` is the time between departures. `refill_interval` is the time in which a server
    /// that refills evenly refills a cost of one.
    pub(crate) fn decision(
        &self,
        cost: u32,
        unanswered: u64,
        interval: Span,
        refill_interval: Span,
        last_departure: Option<Moment>,
        now: Moment,
    ) -> Decision {
        let Some(open) = self.open.filter(|_| !self.is_misleading) else {
            return Decision::Usual;
        };
        let cost = i64::from(cost);
        match self.probe {
            // Open, and too little remains: the next window has room for the request.
            _ if now < open.until && open.remaining() < cost => Decision::Closed(open.until),
            // Open, and enough remains.
            _ if now < open.until => {
                // Without unanswered requests the statement is exact. Otherwise the margin is for
                // other clients that may use the limit as well.
                let unanswered = i64::try_from(unanswered).unwrap_or(i64::MAX);
                match unanswered == 0 || unanswered.saturating_add(2 * cost) <= open.remaining() {
                    true => Decision::Pass(
                        last_departure.map_or(now, |last| last + interval.min(MIN_GAP)),
                    ),
                    false => Decision::UsualUntilAnswer(open.until),
                }
            }
            // Over, and no request has probed the next window. No field states whether the server
            // has a sliding log or fixed windows. At the reset a log has room for a cost of one at
            // least, and a fixed window for all.
            Probe::Waiting if cost == 1 && !open.slides && !open.over_full => {
                Decision::Pass(open.until + refill_interval)
            }
            // A heavy probe may not fit into a log. A server with a moving reset has no windows to
            // ask for, and one that is over-full may have room for nothing.
            Probe::Waiting => Decision::Usual,
            // The others wait for the answer to the probe, but not for a hung one.
            Probe::InFlight { since, .. } if now < since + PROBE_TIME => {
                Decision::ClosedUntilAnswer(since + PROBE_TIME)
            }
            // The answer to the probe stated no new window, so the server has no fixed windows.
            Probe::InFlight { .. } | Probe::Ended => Decision::Usual,
        }
    }

    /// Records the departure of a request.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u64, number: u32, now: Moment) {
        self.add_cost(cost);
        let has_ended = self.open.is_some_and(|open| now >= open.until);
        // Waiting => InFlight: any departure after the reset is the probe.
        if has_ended && matches!(self.probe, Probe::Waiting) {
            self.probe = Probe::InFlight { number, since: now };
        }
    }

    /// Takes a cost from what remains.
    #[inline]
    pub(crate) fn add_cost(&mut self, cost: u64) {
        if let Some(open) = &mut self.open {
            open.own = open.own.saturating_sub_unsigned(cost);
            open.stated = open.stated.saturating_sub_unsigned(cost);
        }
    }

    /// Records that the request with this number costs more than was estimated.
    pub(crate) fn raise_cost(&mut self, cost: u64, number: u32) {
        self.add_cost(cost);
        if let Some(open) = &mut self.open
            && !is_after(number, open.stated_by)
        {
            // The lowest statement may be one that includes it already.
            open.is_overcharged = true;
        }
    }

    /// Records that the request with this number costs less than was estimated.
    pub(crate) fn remove_cost(&mut self, cost: u64, number: u32) {
        let Some(open) = &mut self.open else { return };
        // The first statement and `own` include no request from before, whatever it costs.
        if !is_after(number, open.opened_by) {
            return;
        }
        open.own = open.own.saturating_add_unsigned(cost);
        // The statement of a later request includes what this one really cost, and an earlier one
        // the cost that it departed with. Only the next statement shows how much remains.
        match is_after(number, open.stated_by) {
            true => open.stated = open.stated.saturating_add_unsigned(cost),
            false => open.is_overcharged = true,
        }
    }

    /// Records that a request was never sent. If it was the probe, the next departure is.
    pub(crate) fn refund(&mut self, cost: u64, number: u32) {
        self.remove_cost(cost, number);
        // InFlight => Waiting: the server was not asked.
        if self.is_probe(number) {
            self.probe = Probe::Waiting;
        }
    }

    /// Records that a request ended.
    #[inline]
    pub(crate) fn end(&mut self, number: u32) {
        // InFlight => Ended: unless its answer states a new window, the pace decides from now on.
        if self.is_probe(number) {
            self.probe = Probe::Ended;
        }
    }

    /// Records the statement of an answer at `now` about a limit with this window. Returns whether
    /// requests may depart sooner than an earlier decision allowed.
    pub(crate) fn record_stated(
        &mut self,
        stated: Stated,
        limit: u32,
        window: Span,
        now: Moment,
    ) -> bool {
        let until = now + stated.reset + TICK;
        let at_most = i64::try_from(stated.remaining.min(limit.into())).unwrap_or(i64::MAX);
        let remaining = at_most.saturating_sub_unsigned(stated.departed_since);
        let is_fresh = stated.remaining >= u64::from(limit / 2);
        if let Some(open) = &mut self.open {
            // Two ticks of tolerance: both resets are rounded to whole seconds.
            let slides = until > open.until + TICK * 2 && !is_fresh;
            // Open => Open: a statement lowers it, or raises it to what other requests left over.
            if now < open.until {
                let before = open.remaining();
                open.record_stated(stated, remaining);
                open.slides = slides;
                return open.remaining() > before;
            }
            // An answer after the reset may state that the next window is used already. Then no
            // request waits for the probe any longer.
            let is_sooner = slides && !open.slides;
            open.slides |= slides;
            if !is_fresh || !is_new_window(until, open.until, window) {
                return is_sooner;
            }
        }
        // (none | Over) => Open: the first statement, or one of a new window.
        let remaining = remaining.saturating_sub_unsigned(stated.unanswered);
        self.open = Some(Open {
            own: remaining,
            stated: remaining,
            is_overcharged: false,
            until,
            opened_by: stated.number,
            stated_by: stated.number,
            over_full: now < self.over_full_until,
            slides: false,
        });
        self.probe = Probe::Waiting;
        true
    }

    /// Records a throttled response. `is_used_up` is true if it states that nothing remains.
    ///
    /// Returns whether the fields mean something else than the remaining cost of this limit. The
    /// allowance is ignored from then on, so requests may depart sooner.
    pub(crate) fn record_throttled(&mut self, is_used_up: bool, now: Moment) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| now < open.until) else {
            return false;
        };
        // The response explains itself: nothing remains until the reset.
        if is_used_up {
            open.stated = open.stated.min(0);
            return false;
        }
        // The server throttled although its own fields left room, so they are of another limit.
        self.is_misleading |= open.remaining() > 0;
        self.is_misleading
    }

    /// Returns whether the allowance is open at `now`.
    pub(crate) fn holds(&self, now: Moment) -> bool {
        !self.is_misleading && self.open.is_some_and(|open| now < open.until)
    }

    /// Returns the allowance that continues `known` under another quota.
    ///
    /// It keeps whether the fields are misleading, and forgets the statement. Until
    /// `over_full_until` the server may have counted more than the new limit.
    pub(crate) fn following(known: &Self, over_full_until: Moment) -> Self {
        Self {
            is_misleading: known.is_misleading,
            over_full_until: over_full_until.max(known.over_full_until),
            ..Self::default()
        }
    }

    /// Returns whether the departure with this number is the probe in flight.
    #[inline]
    fn is_probe(&self, number: u32) -> bool {
        matches!(self.probe, Probe::InFlight { number: probe, .. } if probe == number)
    }
}

/// Returns whether a stated reset is that of a new fixed window, one window after the last reset.
fn is_new_window(until: Moment, before: Moment, window: Span) -> bool {
    let most = Span::from_nanos(window.nanos() / 100 * NEW_WINDOW_PERCENT);
    until >= before + (most - TICK * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100;
    const HOUR: Span = Span::of(Duration::from_secs(3_600));
    const REFILL_INTERVAL: Span = Span::of(Duration::from_secs(36));
    const INTERVAL: Span = Span::of(Duration::from_millis(500));

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    fn stated(remaining: u64, reset: u64) -> Stated {
        Stated {
            remaining,
            reset: Span::of(Duration::from_secs(reset)),
            departed_since: 0,
            unanswered: 0,
            number: 0,
        }
    }

    fn record(allowance: &mut Allowance, stated: Stated, now: u64) -> bool {
        allowance.record_stated(stated, LIMIT, HOUR, at(now))
    }

    /// An allowance that was opened at 0 s, until 601 s.
    fn open(remaining: u64) -> Allowance {
        let mut allowance = Allowance::default();
        assert!(record(&mut allowance, stated(remaining, 600), 0));
        allowance
    }

    /// Returns the decision about a request, after a departure at 1 s.
    fn decide(allowance: &Allowance, cost: u32, unanswered: u64, now: u64) -> Decision {
        let last = Some(at(1));
        allowance.decision(cost, unanswered, INTERVAL, REFILL_INTERVAL, last, at(now))
    }

    fn remaining(allowance: &Allowance) -> i64 {
        allowance.open.expect("it was opened").remaining()
    }

    #[test]
    fn the_remaining_cost_may_depart_past_the_pace_if_the_statement_is_exact_or_ample() {
        assert_eq!(decide(&Allowance::default(), 1, 0, 2), Decision::Usual);
        assert!(!Allowance::default().is_open());
        let allowance = open(10);
        assert!(allowance.is_open() && allowance.holds(at(600)) && !allowance.holds(at(601)));
        let pass = Decision::Pass(at(1) + Duration::from_millis(10));
        let wait = Decision::UsualUntilAnswer(at(601));
        for (cost, unanswered, expected) in [
            (10, 0, pass),
            (11, 0, Decision::Closed(at(601))),
            (1, 8, pass),
            (1, 9, wait),
            (5, 1, wait),
            (4, 2, pass),
            (1, u64::MAX, wait),
        ] {
            let decision = decide(&allowance, cost, unanswered, 2);
            assert_eq!(decision, expected, "{cost} {unanswered}");
        }
        let decision = allowance.decision(1, 0, INTERVAL, REFILL_INTERVAL, None, at(2));
        assert_eq!(decision, Decision::Pass(at(2)));
        let fast = Span::from_nanos(7);
        let decision = allowance.decision(1, 0, fast, REFILL_INTERVAL, Some(at(1)), at(2));
        assert_eq!(decision, Decision::Pass(at(1) + fast));
    }

    #[test]
    fn the_remaining_cost_excludes_all_that_other_departures_can_take() {
        let mut allowance = Allowance::default();
        let first = Stated {
            departed_since: 3,
            unanswered: 4,
            ..stated(50, 600)
        };
        assert!(record(&mut allowance, first, 0));
        assert_eq!(remaining(&allowance), 50 - 3 - 4);
        let lower = Stated {
            departed_since: 5,
            unanswered: 9,
            ..stated(40, 600)
        };
        assert!(!record(&mut allowance, lower, 1));
        assert_eq!(
            remaining(&allowance),
            40 - 5,
            "the unanswered cost counts once"
        );
        assert!(!record(&mut allowance, stated(90, 600), 1));
        assert_eq!(remaining(&allowance), 35, "an answer cannot raise it");
        allowance.depart(7, 1, at(2));
        allowance.add_cost(8);
        allowance.remove_cost(3, 1);
        allowance.refund(4, 1);
        assert_eq!(remaining(&allowance), 35 - 7 - 8 + 3 + 4);
        // The statement of a later request includes what the first one really cost.
        let later = Stated {
            number: 2,
            ..stated(90, 600)
        };
        assert!(!record(&mut allowance, later, 3));
        assert!(
            !record(&mut allowance, stated(90, 600), 3),
            "an earlier one"
        );
        allowance.refund(1, 1);
        allowance.remove_cost(1, 2);
        assert_eq!(remaining(&allowance), 27);
        allowance.remove_cost(1, 3);
        assert_eq!(remaining(&allowance), 28);
        allowance.remove_cost(100, 0);
        assert_eq!(
            remaining(&allowance),
            28,
            "it departed before the first one"
        );
        let mut allowance = open(u64::MAX);
        assert_eq!(remaining(&allowance), LIMIT.into(), "never above the limit");
        allowance.add_cost(u64::MAX);
        allowance.add_cost(u64::MAX);
        assert!(remaining(&allowance) < -1_000);
    }

    #[test]
    fn a_later_statement_shows_how_much_less_earlier_requests_took() {
        let mut allowance = open(50);
        let later = |number, remaining, unanswered| Stated {
            number,
            unanswered,
            ..stated(remaining, 600)
        };
        allowance.depart(20, 1, at(1));
        allowance.depart(10, 2, at(1));
        assert_eq!(remaining(&allowance), 20);
        // The first one has cost 5. The statement is as old as its departure.
        assert!(!record(&mut allowance, later(1, 45, 10), 2));
        allowance.remove_cost(15, 1);
        assert_eq!(remaining(&allowance), 20);
        assert!(record(&mut allowance, later(2, 30, 4), 3));
        assert_eq!(remaining(&allowance), 26, "what was unanswered is left out");
        // Statements that follow a raised cost contain it.
        allowance.raise_cost(6, 2);
        assert_eq!(remaining(&allowance), 20);
        assert!(record(&mut allowance, later(3, 25, 0), 3));
        assert_eq!(remaining(&allowance), 25);
        // An answer that was overtaken raises nothing.
        assert!(!record(&mut allowance, later(2, 29, 0), 3));
        assert_eq!(remaining(&allowance), 25);
        // However much a server states, no more departs than the first statement allows.
        allowance.depart(15, 4, at(3));
        assert!(record(&mut allowance, later(5, 90, 0), 3));
        assert_eq!(remaining(&allowance), 50 - 20 - 10 + 15 - 6 - 15);
    }

    #[test]
    fn after_the_reset_one_request_probes_and_the_others_wait_for_its_end() {
        let mut allowance = open(10);
        assert_eq!(decide(&allowance, 1, 0, 601), Decision::Pass(at(637)));
        assert_eq!(decide(&allowance, 2, 0, 601), Decision::Usual);
        assert_eq!(decide(&open(0), 1, 0, 600), Decision::Closed(at(601)));
        assert_eq!(decide(&open(0), 1, 0, 601), Decision::Pass(at(637)));
        allowance.depart(1, 7, at(600));
        assert_eq!(decide(&allowance, 1, 0, 601), Decision::Pass(at(637)));
        allowance.depart(1, 8, at(637));
        let waits = Decision::ClosedUntilAnswer(at(642));
        assert_eq!(decide(&allowance, 1, 0, 638), waits);
        allowance.depart(1, 9, at(638));
        allowance.end(9);
        allowance.refund(1, 9);
        assert_eq!(
            decide(&allowance, 1, 0, 641),
            waits,
            "the first departure is the probe"
        );
        assert_eq!(decide(&allowance, 1, 0, 642), Decision::Usual);
        allowance.refund(1, 8);
        assert_eq!(decide(&allowance, 1, 0, 642), Decision::Pass(at(637)));
        allowance.depart(1, 10, at(642));
        allowance.end(10);
        assert_eq!(decide(&allowance, 1, 0, 643), Decision::Usual);
        allowance.depart(1, 11, at(643));
        assert_eq!(
            decide(&allowance, 1, 0, 643),
            Decision::Usual,
            "one probe per reset"
        );
    }

    #[test]
    fn a_new_window_has_a_later_reset_and_half_of_the_limit_or_more() {
        // 99 % of an hour less 2 s after 601 s is 4163 s, as an answer at 700 s states it with a
        // tick.
        for (remaining, reset, opens) in [
            (100, 3_462, true),
            (50, 3_462, true),
            (49, 3_462, false),
            (100, 3_461, false),
            (100, 0, false),
        ] {
            let mut allowance = open(10);
            allowance.depart(1, 1, at(640));
            let is_sooner = record(&mut allowance, stated(remaining, reset), 700);
            assert!(is_sooner || !opens, "{remaining} {reset}");
            assert_eq!(allowance.holds(at(700)), opens, "{remaining} {reset}");
            let probes = matches!(allowance.probe, Probe::Waiting);
            assert_eq!(probes, opens, "the probe starts anew with the window");
        }
        let mut allowance = open(10);
        assert!(!record(&mut allowance, stated(100, 3_600), 600));
        assert_eq!(remaining(&allowance), 10, "before the reset nothing opens");
        assert!(record(&mut allowance, stated(100, 3_600), 601));
    }

    #[test]
    fn a_server_whose_reset_moves_has_no_fixed_windows_and_is_not_probed() {
        let probes = Decision::Pass(at(601) + REFILL_INTERVAL);
        for (remaining, reset, now, expected) in [
            // A reset that is two ticks later does not move.
            (9, 502, 100, probes),
            (9, 503, 100, Decision::Usual),
            (50, 3_000, 100, probes),
            // An answer after the reset states that the next window is used up.
            (0, 3_000, 620, Decision::Usual),
            (60, 1_000, 620, probes),
        ] {
            let mut allowance = open(10);
            let is_sooner = record(&mut allowance, stated(remaining, reset), now);
            assert_eq!(is_sooner, now == 620 && expected == Decision::Usual);
            assert_eq!(
                decide(&allowance, 1, 0, 650),
                expected,
                "{remaining} {reset}"
            );
        }
        let mut allowance = open(10);
        assert!(record(&mut allowance, stated(0, 3_000), 620));
        assert!(!record(&mut allowance, stated(0, 3_000), 620));
        assert!(!record(&mut allowance, stated(0, 0), 621));
        assert_eq!(
            decide(&allowance, 1, 0, 650),
            Decision::Usual,
            "it stays known"
        );
        assert!(record(&mut allowance, stated(100, 3_600), 700));
        assert_eq!(
            decide(&allowance, 1, 0, 4_400),
            Decision::Pass(at(4_301) + REFILL_INTERVAL)
        );
    }

    #[test]
    fn a_throttled_response_uses_up_the_allowance_or_shows_that_the_fields_mislead() {
        let mut allowance = open(10);
        assert!(!allowance.record_throttled(true, at(1)));
        assert_eq!((remaining(&allowance), allowance.is_open()), (0, true));
        assert!(
            !allowance.record_throttled(false, at(1)),
            "nothing remained"
        );
        assert!(allowance.is_open());
        allowance.add_cost(5);
        allowance.record_throttled(true, at(1));
        assert_eq!(remaining(&allowance), -5);
        let mut allowance = open(10);
        assert!(
            !allowance.record_throttled(false, at(601)),
            "its reset has passed"
        );
        assert!(allowance.is_open());
        assert!(allowance.record_throttled(false, at(600)));
        assert!(!allowance.is_open() && !allowance.holds(at(1)));
        assert_eq!(decide(&allowance, 50, 0, 2), Decision::Usual);
        assert!(!Allowance::default().record_throttled(false, at(1)));
    }

    #[test]
    fn a_new_quota_forgets_the_statement_and_probes_no_reset_while_its_limit_may_be_over_full() {
        let mut known = open(10);
        let mut next = Allowance::following(&known, at(500));
        assert!(!next.is_open() && !next.is_misleading);
        assert!(record(&mut next, stated(10, 10), 499));
        assert_eq!(decide(&next, 1, 0, 600), Decision::Usual);
        let mut next = Allowance::following(&known, at(500));
        assert!(record(&mut next, stated(10, 10), 500));
        assert_eq!(
            decide(&next, 1, 0, 600),
            Decision::Pass(at(511) + REFILL_INTERVAL)
        );
        let mut again = Allowance::following(&next, at(400));
        assert!(record(&mut again, stated(10, 10), 499));
        assert_eq!(decide(&again, 1, 0, 600), Decision::Usual);
        known.record_throttled(false, at(1));
        assert!(Allowance::following(&known, at(500)).is_misleading);
    }
}
