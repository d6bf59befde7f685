use std::time::Duration;

use crate::fields::StatedLimit;
use crate::{Moment, Quota};

/// The part of the limit, one in this number, that may be used beyond our own requests before other
/// clients are assumed to use it. A tenth has room for a server that counts a little differently.
/// With less room its own way to count would close the ceiling; with more, other clients that use
/// up to that part go unnoticed until a throttled response.
const UNEXPLAINED: u64 = 10;
/// A reset that is later than the last one by more than this belongs to a new window. Servers state
/// whole seconds, so one window may be stated with two resets, one second apart. A larger value
/// would take a new window of a short limit for the old one.
const NEW_WINDOW: Duration = Duration::from_secs(1);

/// The cost that may depart until the stated reset, if other clients use the same limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ceiling {
    /// The lowest statement of the window in force; none while our own requests explain them all.
    known: Option<Remaining>,
}

/// The cost that may still depart until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remaining {
    cost: i64,
    until: Moment,
}

impl Ceiling {
    /// Records the limit that an answer at `now` states. `in_flight` is the cost without an answer.
    /// `counted` is the cost that may count at the server, and includes `in_flight`.
    ///
    /// Nothing changes if our own requests explain the cost that is used. Otherwise only the
    /// remaining cost, less the cost in flight, may depart until the reset. The reset is bounded by
    /// the quota's longest `Retry-After`.
    pub(crate) fn record_stated(
        &mut self,
        stated_limit: &StatedLimit,
        quota: &Quota,
        in_flight: u64,
        counted: u64,
        now: Moment,
    ) {
        let limit = stated_limit.limit.unwrap_or_else(|| quota.limit().into());
        let used = limit.saturating_sub(stated_limit.remaining);
        if used <= counted.saturating_add(limit / UNEXPLAINED) {
            return;
        }
        let remaining = i64::try_from(stated_limit.remaining).unwrap_or(i64::MAX);
        let stated = Remaining {
            cost: remaining.saturating_sub_unsigned(in_flight),
            until: now + stated_limit.reset.min(quota.max_retry_after),
        };
        let known = self.known.filter(|known| known.until > now);
        // Answers overtake each other. Within a window the lower statement is the later one, and an
        // older one must not raise the ceiling.
        let is_older = known.is_some_and(|known| {
            stated.until <= known.until + NEW_WINDOW && stated.cost > known.cost
        });
        if !is_older {
            self.known = Some(stated);
        }
    }

    /// Records the departure of this cost.
    #[inline]
    pub(crate) fn add_cost(&mut self, cost: u64) {
        if let Some(remaining) = &mut self.known {
            remaining.cost = remaining.cost.saturating_sub_unsigned(cost);
        }
    }

    /// Records that this cost never departed.
    pub(crate) fn remove_cost(&mut self, cost: u64) {
        if let Some(remaining) = &mut self.known {
            remaining.cost = remaining.cost.saturating_add_unsigned(cost);
        }
    }

    /// Returns whether a stated reset still lies ahead.
    pub(crate) fn holds(&self, now: Moment) -> bool {
        self.known.is_some_and(|remaining| remaining.until > now)
    }

    /// Returns the moment from which requests may depart. It has passed while some cost remains.
    #[inline]
    pub(crate) fn open_from(&self) -> Moment {
        match self.known {
            Some(Remaining { cost, until }) if cost <= 0 => until,
            _ => Moment::ORIGIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    /// States at `second` that `remaining` of 100 remain for `reset` seconds, while 5 are in flight
    /// and 20 count.
    fn state(ceiling: &mut Ceiling, remaining: u64, reset: u64, second: u64) {
        let stated_limit = StatedLimit {
            limit: Some(100),
            remaining,
            reset: Duration::from_secs(reset),
            unit: None,
        };
        ceiling.record_stated(&stated_limit, &Quota::per_second(100), 5, 20, at(second));
    }

    #[test]
    fn a_cost_that_our_own_requests_explain_changes_nothing() {
        let mut ceiling = Ceiling::default();
        state(&mut ceiling, 70, 30, 0);
        assert_eq!(ceiling, Ceiling::default());
        state(&mut ceiling, 69, 30, 0);
        assert_ne!(ceiling, Ceiling::default());
    }

    #[test]
    fn the_remaining_cost_may_depart_until_the_reset_less_the_cost_in_flight() {
        let mut ceiling = Ceiling::default();
        state(&mut ceiling, 10, 30, 1);
        ceiling.add_cost(4);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
        ceiling.add_cost(1);
        assert_eq!(ceiling.open_from(), at(31));
        ceiling.add_cost(2);
        ceiling.remove_cost(2);
        assert_eq!(ceiling.open_from(), at(31));
        ceiling.remove_cost(1);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
    }

    #[test]
    fn an_older_statement_releases_nothing_and_a_new_window_does() {
        let mut ceiling = Ceiling::default();
        state(&mut ceiling, 5, 30, 0);
        state(&mut ceiling, 50, 30, 1);
        assert_eq!(ceiling.open_from(), at(30));
        state(&mut ceiling, 50, 60, 1);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
    }

    #[test]
    fn a_reset_in_the_past_releases_all_and_an_absurd_one_is_bounded() {
        let mut ceiling = Ceiling::default();
        state(&mut ceiling, 0, 30, 0);
        assert!(ceiling.holds(at(29)) && !ceiling.holds(at(30)));
        state(&mut ceiling, 60, 30, 30);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
        // A statement that held until 30 s no longer counts at 30 s.
        let mut next = Ceiling::default();
        state(&mut next, 10, 30, 0);
        state(&mut next, 50, 1, 30);
        assert!(next.holds(at(30)));
        // The same remaining cost with another reset.
        state(&mut next, 50, 0, 30);
        assert!(!next.holds(at(30)));
        state(&mut ceiling, 0, u64::MAX, 40);
        assert_eq!(ceiling.open_from(), at(40 + 3_600));
    }
}
