use std::time::Duration;

use super::{Allotment, Budget, LimitFields};
use crate::{Cost, Moment, Quota};

/// A server's word slows down to this part of the configured rate, and no further.
const SLOWEST: u32 = 20;
/// A limit for longer than this, or than the configured window, is not spread evenly: that would waste what it allows
/// at once. Its budget keeps it.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);
/// A server may see this part of its limit used beyond our own requests before others are thought to use it: it may
/// count otherwise than we do.
const UNEXPLAINED: u64 = 10;
/// A reset that lies this much further away than the last one belongs to a new window.
const NEW_WINDOW: Duration = Duration::from_secs(1);

impl LimitFields {
    /// Returns the slowest quota that the server states, if it is slower than `configured`, and not slower than a 20th of
    /// it: a server's word never speeds anyone up, and an absurd one stops nobody.
    #[must_use]
    pub fn slower_than(&self, configured: &Quota) -> Option<Quota> {
        let stated = self.allotments.iter();
        stated
            .filter_map(|allotment| allotment.quota(configured))
            .filter(|quota| quota.spacing() > configured.spacing())
            .max_by_key(Quota::spacing)
    }
}

impl Allotment {
    /// The same assumptions as those of `configured`, for another limit.
    fn quota(&self, configured: &Quota) -> Option<Quota> {
        let longest = configured.window().max(LONGEST_SPREAD);
        let limit = u32::try_from(self.limit).unwrap_or(u32::MAX);
        let quota = Quota::new(limit, self.window).ok()?.in_place_of(configured);
        let slowest = configured.spacing().saturating_mul(SLOWEST);
        (self.window <= longest && quota.spacing() <= slowest).then_some(quota)
    }
}

/// What a server still allows where others use the same limit.
///
/// ```
/// use std::time::Duration;
/// use pacing::fields::{Allowance, Budget};
/// use pacing::{Cost, Moment, Quota};
///
/// let mut allowance = Allowance::default();
/// let budget = Budget { limit: Some(100), remaining: 1, reset: Duration::from_secs(30) };
/// allowance.note(&budget, &Quota::per_second(100), 0, 10, Moment::ORIGIN);
/// assert_eq!(allowance.open_from(), Moment::ORIGIN);
/// allowance.spend(Cost::ONE);
/// assert_eq!(allowance.open_from(), Moment::ORIGIN + Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    budget: Option<Left>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    requests: u64,
    until: Moment,
}

impl Allowance {
    /// Notes what an answer says that came at `now`, while requests of a cost of `in_flight` had no answer, and
    /// `counted`, these included, may count at the server.
    ///
    /// What our own requests explain changes nothing: `quota` holds for those. Otherwise no more may leave than remain,
    /// those in flight included, until the reset, or until the quota's longest `Retry-After`.
    pub fn note(
        &mut self,
        budget: &Budget,
        quota: &Quota,
        in_flight: u32,
        counted: u64,
        now: Moment,
    ) {
        let limit = budget.limit.unwrap_or_else(|| quota.limit().into());
        let used = limit.saturating_sub(budget.remaining);
        if used <= counted.saturating_add(limit / UNEXPLAINED) {
            return;
        }
        let heard = Left {
            requests: budget.remaining.saturating_sub(in_flight.into()),
            until: now + budget.reset.min(quota.max_retry_after),
        };
        let known = self.budget.filter(|known| known.until > now);
        // Answers overtake each other: within a window the smaller count is the later one.
        let is_older = known.is_some_and(|known| {
            heard.until <= known.until + NEW_WINDOW && heard.requests > known.requests
        });
        if !is_older {
            self.budget = Some(heard);
        }
    }

    /// Records that a request of such a cost leaves.
    pub fn spend(&mut self, cost: Cost) {
        if let Some(left) = &mut self.budget {
            left.requests = left.requests.saturating_sub(cost.get().into());
        }
    }

    /// Says whether a reset is still to come, so that there is something to keep to.
    #[must_use]
    pub fn holds(&self, now: Moment) -> bool {
        self.budget.is_some_and(|left| left.until > now)
    }

    /// Returns the moment from which requests may leave again; it has passed while some are left.
    #[must_use]
    pub fn open_from(&self) -> Moment {
        let spent = self.budget.filter(|left| left.requests == 0);
        spent.map_or(Moment::ORIGIN, |left| left.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slower(limit: u64, seconds: u64) -> Option<(u32, Duration)> {
        let stated = LimitFields {
            allotments: vec![Allotment {
                limit,
                window: Duration::from_secs(seconds),
            }],
            ..LimitFields::default()
        };
        let quota = stated.slower_than(&Quota::per_second(100))?;
        Some((quota.limit(), quota.window()))
    }

    #[test]
    fn a_stated_limit_of_requests_leaves_that_of_what_they_carry_in_force() {
        let records = Quota::per_second(10_000);
        let configured = Quota::per_second(100).by_request().and(records).unwrap();
        let stated = LimitFields {
            allotments: vec![Allotment {
                limit: 50,
                window: Duration::from_secs(1),
            }],
            ..LimitFields::default()
        };
        let quota = stated.slower_than(&configured).unwrap();
        assert_eq!((quota.limit(), quota.units(Cost::of(500))), (50, Cost::ONE));
        assert!(quota.fits(Cost::of(10_000)).is_ok() && quota.fits(Cost::of(10_001)).is_err());
    }

    #[test]
    fn a_stated_limit_is_obeyed_if_it_is_slower_and_not_absurd() {
        let stated = |limit, seconds| Some((limit, Duration::from_secs(seconds)));
        assert_eq!(slower(50, 1), stated(50, 1));
        assert_eq!(slower(600, 60), stated(600, 60));
        assert_eq!(slower(100, 1), None);
        assert_eq!(slower(1_000, 1), None);
        assert_eq!(slower(u64::MAX, 1), None);
        assert_eq!(slower(1, 60), None);
        assert_eq!(slower(0, 1), None);
        assert_eq!(slower(50, 0), None);
        assert_eq!(slower(500_000, 86_400), None);
    }

    #[test]
    fn a_stated_limit_counts_what_the_configured_one_counts() {
        let stated = LimitFields {
            allotments: vec![Allotment {
                limit: 50,
                window: Duration::from_secs(1),
            }],
            ..LimitFields::default()
        };
        let configured = Quota::per_second(100);
        for (configured, fits) in [(configured, false), (configured.by_request(), true)] {
            let quota = stated.slower_than(&configured).unwrap();
            assert_eq!(quota.fits(Cost::of(51)).is_ok(), fits);
        }
    }

    #[test]
    fn of_several_the_slowest_counts() {
        let allotment = |limit| Allotment {
            limit,
            window: Duration::from_secs(1),
        };
        let stated = LimitFields {
            allotments: vec![allotment(50), allotment(20), allotment(80)],
            ..LimitFields::default()
        };
        let quota = stated.slower_than(&Quota::per_second(100)).unwrap();
        assert_eq!(quota.limit(), 20);
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    /// A limit of 100 of which `remaining` are left for `reset` seconds, heard at `second`; 5 are in flight, 20 count.
    fn hear(allowance: &mut Allowance, remaining: u64, reset: u64, second: u64) {
        let budget = Budget {
            limit: Some(100),
            remaining,
            reset: Duration::from_secs(reset),
        };
        allowance.note(&budget, &Quota::per_second(100), 5, 20, at(second));
    }

    fn spend(allowance: &mut Allowance, requests: u32) {
        (0..requests).for_each(|_| allowance.spend(Cost::ONE));
    }

    #[test]
    fn what_our_own_requests_explain_changes_nothing() {
        let mut allowance = Allowance::default();
        hear(&mut allowance, 70, 30, 0);
        assert_eq!(allowance, Allowance::default());
        hear(&mut allowance, 69, 30, 0);
        assert_ne!(allowance, Allowance::default());
    }

    #[test]
    fn what_remains_is_spent_until_the_reset_and_what_is_in_flight_counts() {
        let mut allowance = Allowance::default();
        hear(&mut allowance, 10, 30, 1);
        spend(&mut allowance, 4);
        assert_eq!(allowance.open_from(), Moment::ORIGIN);
        spend(&mut allowance, 1);
        assert_eq!(allowance.open_from(), at(31));
    }

    #[test]
    fn an_older_count_gives_nothing_back_and_a_new_window_does() {
        let mut allowance = Allowance::default();
        hear(&mut allowance, 5, 30, 0);
        hear(&mut allowance, 50, 30, 1);
        assert_eq!(allowance.open_from(), at(30));
        hear(&mut allowance, 50, 60, 1);
        assert_eq!(allowance.open_from(), Moment::ORIGIN);
    }

    #[test]
    fn a_reset_that_is_past_frees_all_and_an_absurd_one_is_bounded() {
        let mut allowance = Allowance::default();
        hear(&mut allowance, 0, 30, 0);
        assert!(allowance.holds(at(29)) && !allowance.holds(at(30)));
        hear(&mut allowance, 60, 30, 30);
        assert_eq!(allowance.open_from(), Moment::ORIGIN);
        hear(&mut allowance, 0, u64::MAX, 40);
        assert_eq!(allowance.open_from(), at(40 + 3_600));
    }
}
