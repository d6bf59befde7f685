use std::time::Duration;

use crate::Moment;
use crate::moment::Span;

/// A server states whole seconds, so its window may start anew up to one second later than it
/// stated.
const TICK: Span = Span::of(Duration::from_secs(1));
/// The least time between requests that the server's word lets past the pace. If the word is wrong,
/// an answer says so before many have left.
const LEAST_GAP: Span = Span::of(Duration::from_millis(10));
/// The longest wait for the end of the first request of a new window.
const PROBE_TIME: Span = Span::of(Duration::from_secs(5));
/// The reset of a new window is later by this part of the window, in percent, less two ticks.
const NEW_WINDOW: u64 = 99;

/// What a server states to remain of one limit, and lets leave past the pace.
///
/// # Why it is safe
///
/// An answer x states the remaining requests and the reset. A request that was answered before x
/// left, or that left `max_transit` before it, was counted before x. So the remaining can only be
/// taken by what was unanswered when x left and by what left after it. No kind of server lowers its
/// remaining by itself, so the least of several answers is safe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    open: Option<Open>,
    probe: Probe,
    /// A request was refused while some remained: the fields mean something else.
    is_misleading: bool,
    /// Until then the server may have counted more than a limit that was lowered, so a reset may
    /// make room for nothing.
    over_full_until: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    left: i64,
    until: Moment,
    /// Whether the quota was changed within a window before it was opened.
    over_full: bool,
    /// Whether the server has stated a later reset since, without most of the limit remaining: then
    /// it has no fixed windows, or the next one is used already.
    slides: bool,
}

/// The first request after an allowance has ended.
#[derive(Clone, Copy, Debug, Default)]
enum Probe {
    #[default]
    Waiting,
    InFlight {
        number: u32,
        since: Moment,
    },
    Ended,
}

/// What an answer states of a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated {
    /// What remains of the configured limit.
    pub(crate) remaining: u64,
    pub(crate) reset: Span,
    /// The cost that left after the request that was answered.
    pub(crate) left_since: u64,
    /// The cost that was unanswered when it left.
    pub(crate) unanswered: u64,
}

/// What an allowance says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Pace, window and cap decide.
    Usual,
    /// They decide until this moment, or until the unanswered requests have ended or left the
    /// transit ago.
    UsualUntilAnswer(Moment),
    /// It may leave from this moment on, whatever pace, window and cap say.
    Pass(Moment),
    /// It may not leave before this moment.
    Closed(Moment),
    /// It may not leave before this moment, or the end of a request in flight.
    ClosedUntilAnswer(Moment),
}

impl Allowance {
    /// Says whether it decides anything.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some() && !self.is_misleading
    }

    /// Decides about a request of this cost, while a cost of `unanswered` may still be on its way.
    ///
    /// `share` is the time in which the server gives back one, `interval` the one between
    /// departures.
    pub(crate) fn decision(
        &self,
        cost: u32,
        unanswered: u64,
        interval: Span,
        share: Span,
        last_departure: Option<Moment>,
        now: Moment,
    ) -> Decision {
        let Some(open) = self.open.filter(|_| !self.is_misleading) else {
            return Decision::Usual;
        };
        let cost = i64::from(cost);
        match self.probe {
            // Nothing remains: the next window has room for it.
            _ if now < open.until && open.left < cost => Decision::Closed(open.until),
            _ if now < open.until => {
                // With nothing on its way the server's word is exact. Otherwise the margin is for
                // others that may use the limit, too.
                let unanswered = i64::try_from(unanswered).unwrap_or(i64::MAX);
                match unanswered == 0 || unanswered.saturating_add(2 * cost) <= open.left {
                    true => Decision::Pass(
                        last_departure.map_or(now, |last| last + interval.min(LEAST_GAP)),
                    ),
                    false => Decision::UsualUntilAnswer(open.until),
                }
            }
            // No field says whether the server has a log or fixed windows. At the reset a log has
            // room for one at least, a fixed window for all.
            Probe::Waiting if cost == 1 && !open.slides && !open.over_full => {
                Decision::Pass(open.until + share)
            }
            Probe::Waiting => Decision::Usual,
            Probe::InFlight { since, .. } if now < since + PROBE_TIME => {
                Decision::ClosedUntilAnswer(since + PROBE_TIME)
            }
            // Its answer did not state a new window: the server has no fixed ones.
            Probe::InFlight { .. } | Probe::Ended => Decision::Usual,
        }
    }

    /// Records the departure of a request.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u64, number: u32, now: Moment) {
        self.charge(cost);
        let has_ended = self.open.is_some_and(|open| now >= open.until);
        if has_ended && matches!(self.probe, Probe::Waiting) {
            self.probe = Probe::InFlight { number, since: now };
        }
    }

    /// Records that a request costs more.
    #[inline]
    pub(crate) fn charge(&mut self, cost: u64) {
        if let Some(open) = &mut self.open {
            open.left = open.left.saturating_sub_unsigned(cost);
        }
    }

    /// Records that a request cost less.
    pub(crate) fn spare(&mut self, cost: u64) {
        if let Some(open) = &mut self.open {
            open.left = open.left.saturating_add_unsigned(cost);
        }
    }

    /// Records that a request never left. If it was the probe, the next one is.
    pub(crate) fn refund(&mut self, cost: u64, number: u32) {
        self.spare(cost);
        if self.is_probe(number) {
            self.probe = Probe::Waiting;
        }
    }

    /// Records that a request ended.
    #[inline]
    pub(crate) fn end(&mut self, number: u32) {
        if self.is_probe(number) {
            self.probe = Probe::Ended;
        }
    }

    /// Records what an answer that came at `now` states of a limit with this window. Returns
    /// whether requests may leave sooner than they were told.
    pub(crate) fn learn(&mut self, stated: Stated, limit: u32, window: Span, now: Moment) -> bool {
        let until = now + stated.reset + TICK;
        let remaining = i64::try_from(stated.remaining.min(limit.into())).unwrap_or(i64::MAX);
        let left = remaining.saturating_sub_unsigned(stated.left_since);
        let is_fresh = stated.remaining >= u64::from(limit / 2);
        if let Some(open) = &mut self.open {
            let slides = until > open.until + TICK * 2 && !is_fresh;
            if now < open.until {
                open.left = open.left.min(left);
                open.slides = slides;
                return false;
            }
            // An answer that comes after the reset may state that the next window is used already.
            // Then nobody waits for the probe any more.
            let is_nearer = slides && !open.slides;
            open.slides |= slides;
            if !is_fresh || !is_new_window(until, open.until, window) {
                return is_nearer;
            }
        }
        self.open = Some(Open {
            left: left.saturating_sub_unsigned(stated.unanswered),
            until,
            over_full: now < self.over_full_until,
            slides: false,
        });
        self.probe = Probe::Waiting;
        true
    }

    /// Records that the server refused a request; `is_used_up` says whether it stated that nothing
    /// remains. Returns whether the fields turn out to mean something else, and so hold nothing
    /// back any more.
    pub(crate) fn refuse(&mut self, is_used_up: bool, now: Moment) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| now < open.until) else {
            return false;
        };
        if is_used_up {
            open.left = open.left.min(0);
            return false;
        }
        self.is_misleading |= open.left > 0;
        self.is_misleading
    }

    /// Says whether it still decides anything.
    pub(crate) fn holds(&self, now: Moment) -> bool {
        !self.is_misleading && self.open.is_some_and(|open| now < open.until)
    }

    /// Continues `known` under another quota. What its fields mean stays known, what remains does
    /// not. Until `over_full_until` the server may have counted more than the new limit.
    pub(crate) fn following(known: &Self, over_full_until: Moment) -> Self {
        Self {
            is_misleading: known.is_misleading,
            over_full_until: over_full_until.max(known.over_full_until),
            ..Self::default()
        }
    }

    #[inline]
    fn is_probe(&self, number: u32) -> bool {
        matches!(self.probe, Probe::InFlight { number: probe, .. } if probe == number)
    }
}

/// A fixed window that starts anew has another reset, a whole window later.
fn is_new_window(until: Moment, before: Moment, window: Span) -> bool {
    let most = Span::from_nanos(window.nanos() / 100 * NEW_WINDOW);
    until >= before + (most - TICK * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100;
    const HOUR: Span = Span::of(Duration::from_secs(3_600));
    const SHARE: Span = Span::of(Duration::from_secs(36));
    const INTERVAL: Span = Span::of(Duration::from_millis(500));

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    fn stated(remaining: u64, reset: u64) -> Stated {
        Stated {
            remaining,
            reset: Span::of(Duration::from_secs(reset)),
            left_since: 0,
            unanswered: 0,
        }
    }

    fn learn(allowance: &mut Allowance, stated: Stated, now: u64) -> bool {
        allowance.learn(stated, LIMIT, HOUR, at(now))
    }

    /// An allowance that was opened at 0 s, until 601 s.
    fn open(remaining: u64) -> Allowance {
        let mut allowance = Allowance::default();
        assert!(learn(&mut allowance, stated(remaining, 600), 0));
        allowance
    }

    /// What it says to a request after one that left at 1 s.
    fn rule(allowance: &Allowance, cost: u32, unanswered: u64, now: u64) -> Decision {
        let last = Some(at(1));
        allowance.decision(cost, unanswered, INTERVAL, SHARE, last, at(now))
    }

    fn left(allowance: &Allowance) -> i64 {
        allowance.open.expect("it was opened").left
    }

    #[test]
    fn what_remains_may_leave_past_the_pace_if_the_servers_word_is_exact_or_ample() {
        assert_eq!(rule(&Allowance::default(), 1, 0, 2), Decision::Usual);
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
            let decision = rule(&allowance, cost, unanswered, 2);
            assert_eq!(decision, expected, "{cost} {unanswered}");
        }
        let decision = allowance.decision(1, 0, INTERVAL, SHARE, None, at(2));
        assert_eq!(decision, Decision::Pass(at(2)));
        let fast = Span::from_nanos(7);
        let decision = allowance.decision(1, 0, fast, SHARE, Some(at(1)), at(2));
        assert_eq!(decision, Decision::Pass(at(1) + fast));
    }

    #[test]
    fn what_remains_is_what_no_request_can_take_any_more() {
        let mut allowance = Allowance::default();
        let first = Stated {
            left_since: 3,
            unanswered: 4,
            ..stated(50, 600)
        };
        assert!(learn(&mut allowance, first, 0));
        assert_eq!(left(&allowance), 50 - 3 - 4);
        let lower = Stated {
            left_since: 5,
            unanswered: 9,
            ..stated(40, 600)
        };
        assert!(!learn(&mut allowance, lower, 1));
        assert_eq!(left(&allowance), 40 - 5, "what was unanswered counts once");
        assert!(!learn(&mut allowance, stated(90, 600), 1));
        assert_eq!(left(&allowance), 35, "an answer cannot raise it");
        allowance.depart(7, 1, at(2));
        allowance.charge(8);
        allowance.spare(3);
        allowance.refund(4, 1);
        assert_eq!(left(&allowance), 35 - 7 - 8 + 3 + 4);
        let mut allowance = open(u64::MAX);
        assert_eq!(left(&allowance), LIMIT.into(), "never above the limit");
        allowance.charge(u64::MAX);
        allowance.charge(u64::MAX);
        assert!(left(&allowance) < -1_000);
    }

    #[test]
    fn after_the_reset_one_request_asks_and_the_others_wait_for_its_end() {
        let mut allowance = open(10);
        assert_eq!(rule(&allowance, 1, 0, 601), Decision::Pass(at(637)));
        assert_eq!(rule(&allowance, 2, 0, 601), Decision::Usual);
        assert_eq!(rule(&open(0), 1, 0, 600), Decision::Closed(at(601)));
        assert_eq!(rule(&open(0), 1, 0, 601), Decision::Pass(at(637)));
        allowance.depart(1, 7, at(600));
        assert_eq!(rule(&allowance, 1, 0, 601), Decision::Pass(at(637)));
        allowance.depart(1, 8, at(637));
        let waits = Decision::ClosedUntilAnswer(at(642));
        assert_eq!(rule(&allowance, 1, 0, 638), waits);
        allowance.depart(1, 9, at(638));
        allowance.end(9);
        allowance.refund(1, 9);
        assert_eq!(rule(&allowance, 1, 0, 641), waits, "the first one is meant");
        assert_eq!(rule(&allowance, 1, 0, 642), Decision::Usual);
        allowance.refund(1, 8);
        assert_eq!(rule(&allowance, 1, 0, 642), Decision::Pass(at(637)));
        allowance.depart(1, 10, at(642));
        allowance.end(10);
        assert_eq!(rule(&allowance, 1, 0, 643), Decision::Usual);
        allowance.depart(1, 11, at(643));
        assert_eq!(
            rule(&allowance, 1, 0, 643),
            Decision::Usual,
            "once is enough"
        );
    }

    #[test]
    fn a_new_window_has_a_later_reset_and_most_of_the_limit() {
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
            let is_nearer = learn(&mut allowance, stated(remaining, reset), 700);
            assert!(is_nearer || !opens, "{remaining} {reset}");
            assert_eq!(allowance.holds(at(700)), opens, "{remaining} {reset}");
            let probes = matches!(allowance.probe, Probe::Waiting);
            assert_eq!(probes, opens, "the probe starts anew with the window");
        }
        let mut allowance = open(10);
        assert!(!learn(&mut allowance, stated(100, 3_600), 600));
        assert_eq!(left(&allowance), 10, "before the reset nothing opens");
        assert!(learn(&mut allowance, stated(100, 3_600), 601));
    }

    #[test]
    fn a_server_whose_reset_moves_has_no_fixed_windows_and_is_not_asked() {
        let asks = Decision::Pass(at(601) + SHARE);
        for (remaining, reset, now, expected) in [
            // Two ticks are no move.
            (9, 502, 100, asks),
            (9, 503, 100, Decision::Usual),
            (50, 3_000, 100, asks),
            // An answer that comes after the reset, and states that the next window is used up.
            (0, 3_000, 620, Decision::Usual),
            (60, 1_000, 620, asks),
        ] {
            let mut allowance = open(10);
            let is_nearer = learn(&mut allowance, stated(remaining, reset), now);
            assert_eq!(is_nearer, now == 620 && expected == Decision::Usual);
            assert_eq!(rule(&allowance, 1, 0, 650), expected, "{remaining} {reset}");
        }
        let mut allowance = open(10);
        assert!(learn(&mut allowance, stated(0, 3_000), 620));
        assert!(!learn(&mut allowance, stated(0, 3_000), 620));
        assert!(!learn(&mut allowance, stated(0, 0), 621));
        assert_eq!(
            rule(&allowance, 1, 0, 650),
            Decision::Usual,
            "it stays known"
        );
        assert!(learn(&mut allowance, stated(100, 3_600), 700));
        assert_eq!(
            rule(&allowance, 1, 0, 4_400),
            Decision::Pass(at(4_301) + SHARE)
        );
    }

    #[test]
    fn a_refusal_takes_all_or_shows_that_the_fields_mean_something_else() {
        let mut allowance = open(10);
        assert!(!allowance.refuse(true, at(1)));
        assert_eq!((left(&allowance), allowance.is_open()), (0, true));
        assert!(!allowance.refuse(false, at(1)), "it is no surprise");
        assert!(allowance.is_open());
        allowance.charge(5);
        allowance.refuse(true, at(1));
        assert_eq!(left(&allowance), -5);
        let mut allowance = open(10);
        assert!(!allowance.refuse(false, at(601)), "it holds no more");
        assert!(allowance.is_open());
        assert!(allowance.refuse(false, at(600)));
        assert!(!allowance.is_open() && !allowance.holds(at(1)));
        assert_eq!(rule(&allowance, 50, 0, 2), Decision::Usual);
        assert!(!Allowance::default().refuse(false, at(1)));
    }

    #[test]
    fn another_quota_forgets_what_remains_and_asks_at_no_reset_while_its_limit_may_be_over_full() {
        let mut known = open(10);
        let mut next = Allowance::following(&known, at(500));
        assert!(!next.is_open() && !next.is_misleading);
        assert!(learn(&mut next, stated(10, 10), 499));
        assert_eq!(rule(&next, 1, 0, 600), Decision::Usual);
        let mut next = Allowance::following(&known, at(500));
        assert!(learn(&mut next, stated(10, 10), 500));
        assert_eq!(rule(&next, 1, 0, 600), Decision::Pass(at(511) + SHARE));
        let mut again = Allowance::following(&next, at(400));
        assert!(learn(&mut again, stated(10, 10), 499));
        assert_eq!(rule(&again, 1, 0, 600), Decision::Usual);
        known.refuse(false, at(1));
        assert!(Allowance::following(&known, at(500)).is_misleading);
    }
}
