use std::time::Duration;

use crate::Moment;
use crate::moment::Span;

/// A server's clock shows whole seconds, and its window may start anew up to one later than it stated.
const TICK: Span = Span::of(Duration::from_secs(1));
/// While the server's word lets requests past the pace, at least this time is between them: an error of it costs no lump.
const LEAST_GAP: Span = Span::of(Duration::from_millis(10));
/// The others wait no longer for the end of the first request of a new window.
const PROBE_TIME: Span = Span::of(Duration::from_secs(5));
/// A window that starts anew has a reset later by this part of itself, in percent, less two ticks.
const NEW_WINDOW: u64 = 99;

/// What a server states to remain of one limit, and lets leave past the pace.
///
/// An answer x states the remaining requests and the reset. What was answered before x left, or left `max_transit`
/// before it, was counted before x. So of the remaining only what was unanswered when x left, and what left after it, can
/// still be taken. The remaining of every kind of server falls by requests only, so the least of several answers is safe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    open: Option<Open>,
    probe: Probe,
    /// A request was refused while some remained: the fields mean something else.
    is_misleading: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    left: i64,
    until: Moment,
    /// Whether the server has stated a later reset since, and not that most of the limit remains: it has no fixed windows.
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
pub(crate) enum Ruling {
    /// Pace, window and cap decide.
    Usual,
    /// They decide until this moment, or until what is unanswered ends or counts no more.
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
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some() && !self.is_misleading
    }

    /// Decides about a request of this cost, while the cost of `unanswered` may still be on its way.
    ///
    /// `share` is the time that the server takes to give back one, `interval` that between departures.
    pub(crate) fn ruling(
        &self,
        cost: u32,
        unanswered: u64,
        interval: Span,
        share: Span,
        last_departure: Option<Moment>,
        now: Moment,
    ) -> Ruling {
        let Some(open) = self.open.filter(|_| !self.is_misleading) else {
            return Ruling::Usual;
        };
        let cost = i64::from(cost);
        match self.probe {
            // Nothing remains: the next window has room for it.
            _ if now < open.until && open.left < cost => Ruling::Closed(open.until),
            _ if now < open.until => {
                // Others may use the limit too: with nothing on its way the server's word is exact.
                let unanswered = i64::try_from(unanswered).unwrap_or(i64::MAX);
                match unanswered == 0 || unanswered.saturating_add(2 * cost) <= open.left {
                    true => Ruling::Pass(
                        last_departure.map_or(now, |last| last + interval.min(LEAST_GAP)),
                    ),
                    false => Ruling::UsualUntilAnswer(open.until),
                }
            }
            // At the reset a log has room again for one at least, a fixed window for all, and no field says which it is.
            Probe::Waiting if cost == 1 && !open.slides => Ruling::Pass(open.until + share),
            Probe::Waiting => Ruling::Usual,
            Probe::InFlight { since, .. } if now < since + PROBE_TIME => {
                Ruling::ClosedUntilAnswer(since + PROBE_TIME)
            }
            // Its answer did not state a new window: the server has no fixed ones.
            Probe::InFlight { .. } | Probe::Ended => Ruling::Usual,
        }
    }

    /// Records the departure of a request.
    pub(crate) fn depart(&mut self, cost: u64, number: u32, now: Moment) {
        self.charge(cost);
        let has_ended = self.open.is_some_and(|open| now >= open.until);
        if has_ended && matches!(self.probe, Probe::Waiting) {
            self.probe = Probe::InFlight { number, since: now };
        }
    }

    /// Records that a request costs more.
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
    pub(crate) fn end(&mut self, number: u32) {
        if self.is_probe(number) {
            self.probe = Probe::Ended;
        }
    }

    /// Records what an answer states, which came at `now`, of a limit with this window. Returns whether that opens the
    /// allowance of a new window.
    pub(crate) fn learn(&mut self, stated: Stated, limit: u32, window: Span, now: Moment) -> bool {
        let until = now + stated.reset + TICK;
        let remaining = i64::try_from(stated.remaining.min(limit.into())).unwrap_or(i64::MAX);
        let left = remaining.saturating_sub_unsigned(stated.left_since);
        let is_fresh = stated.remaining >= u64::from(limit / 2);
        if let Some(open) = &mut self.open {
            if now < open.until {
                open.left = open.left.min(left);
                open.slides = until > open.until + TICK * 2 && !is_fresh;
                return false;
            }
            if !is_fresh || !is_new_window(until, open.until, window) {
                return false;
            }
        }
        self.open = Some(Open {
            left: left.saturating_sub_unsigned(stated.unanswered),
            until,
            slides: false,
        });
        self.probe = Probe::Waiting;
        true
    }

    /// Records that the server refused a request; `is_used_up` says whether it stated that nothing remains. Returns whether
    /// the fields turn out to mean something else, and so hold nothing back any more.
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

    /// Continues `known` under another quota: what its fields mean stays known, what remains does not.
    pub(crate) fn following(known: &Self) -> Self {
        Self {
            is_misleading: known.is_misleading,
            ..Self::default()
        }
    }

    fn is_probe(&self, number: u32) -> bool {
        matches!(self.probe, Probe::InFlight { number: probe, .. } if probe == number)
    }
}

/// A fixed window that starts anew has another reset, a whole window later.
fn is_new_window(until: Moment, before: Moment, window: Span) -> bool {
    let most = Span::from_nanos(window.nanos() / 100 * NEW_WINDOW);
    until >= before + (most - TICK * 2)
}
