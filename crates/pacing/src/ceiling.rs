use std::time::Duration;

use crate::fields::StatedLimit;
use crate::{Moment, Quota};

/// Up to this part of the limit may be used beyond our own requests before others are assumed to
/// use it: the server may count differently.
const UNEXPLAINED: u64 = 10;
/// A reset that is later than the last one by more than this belongs to a new window.
const NEW_WINDOW: Duration = Duration::from_secs(1);

/// Where others use the same limit: what the server still allows until the reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ceiling {
    stated_limit: Option<Left>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    cost: i64,
    until: Moment,
}

impl Ceiling {
    /// Records what an answer that came at `now` states. A cost of `in_flight` has no answer, and
    /// one of `counted`, which includes it, may count at the server.
    ///
    /// If our own requests explain what is used, nothing changes: `quota` holds. Otherwise no more
    /// than the remaining, less what is in flight, may leave until the reset, or until the quota's
    /// longest `Retry-After`.
    pub(crate) fn learn(
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
        let heard = Left {
            cost: remaining.saturating_sub_unsigned(in_flight),
            until: now + stated_limit.reset.min(quota.max_retry_after),
        };
        let known = self.stated_limit.filter(|known| known.until > now);
        // Answers overtake each other: within a window the smaller count is the later one.
        let is_older = known.is_some_and(|known| {
            heard.until <= known.until + NEW_WINDOW && heard.cost > known.cost
        });
        if !is_older {
            self.stated_limit = Some(heard);
        }
    }

    /// Records that this cost leaves.
    #[inline]
    pub(crate) fn charge(&mut self, cost: u64) {
        if let Some(left) = &mut self.stated_limit {
            left.cost = left.cost.saturating_sub_unsigned(cost);
        }
    }

    /// Records that this cost never left.
    pub(crate) fn spare(&mut self, cost: u64) {
        if let Some(left) = &mut self.stated_limit {
            left.cost = left.cost.saturating_add_unsigned(cost);
        }
    }

    /// Says whether a reset is still to come.
    pub(crate) fn holds(&self, now: Moment) -> bool {
        self.stated_limit.is_some_and(|left| left.until > now)
    }

    /// Returns the moment from which requests may leave again; it has passed while some are left.
    #[inline]
    pub(crate) fn open_from(&self) -> Moment {
        match self.stated_limit {
            Some(Left { cost, until }) if cost <= 0 => until,
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

    /// A limit of 100 of which `remaining` are left for `reset` seconds, heard at `second`; 5 are
    /// in flight, 20 count.
    fn hear(ceiling: &mut Ceiling, remaining: u64, reset: u64, second: u64) {
        let stated_limit = StatedLimit {
            limit: Some(100),
            remaining,
            reset: Duration::from_secs(reset),
        };
        ceiling.learn(&stated_limit, &Quota::per_second(100), 5, 20, at(second));
    }

    #[test]
    fn requests_of_our_own_change_nothing() {
        let mut ceiling = Ceiling::default();
        hear(&mut ceiling, 70, 30, 0);
        assert_eq!(ceiling, Ceiling::default());
        hear(&mut ceiling, 69, 30, 0);
        assert_ne!(ceiling, Ceiling::default());
    }

    #[test]
    fn what_remains_is_used_until_the_reset_and_requests_in_flight_count() {
        let mut ceiling = Ceiling::default();
        hear(&mut ceiling, 10, 30, 1);
        ceiling.charge(4);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
        ceiling.charge(1);
        assert_eq!(ceiling.open_from(), at(31));
        ceiling.charge(2);
        ceiling.spare(2);
        assert_eq!(ceiling.open_from(), at(31));
        ceiling.spare(1);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
    }

    #[test]
    fn an_older_count_gives_nothing_back_and_a_new_window_does() {
        let mut ceiling = Ceiling::default();
        hear(&mut ceiling, 5, 30, 0);
        hear(&mut ceiling, 50, 30, 1);
        assert_eq!(ceiling.open_from(), at(30));
        hear(&mut ceiling, 50, 60, 1);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
    }

    #[test]
    fn a_reset_that_is_past_frees_all_and_an_absurd_one_is_bounded() {
        let mut ceiling = Ceiling::default();
        hear(&mut ceiling, 0, 30, 0);
        assert!(ceiling.holds(at(29)) && !ceiling.holds(at(30)));
        hear(&mut ceiling, 60, 30, 30);
        assert_eq!(ceiling.open_from(), Moment::ORIGIN);
        // What was known until 30 s is no older count any more.
        let mut next = Ceiling::default();
        hear(&mut next, 10, 30, 0);
        hear(&mut next, 50, 1, 30);
        assert!(next.holds(at(30)));
        // The same count states the reset anew.
        hear(&mut next, 50, 0, 30);
        assert!(!next.holds(at(30)));
        hear(&mut ceiling, 0, u64::MAX, 40);
        assert_eq!(ceiling.open_from(), at(40 + 3_600));
    }
}
