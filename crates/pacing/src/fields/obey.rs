use std::time::Duration;

use super::{Allotment, LimitFields};
use crate::Quota;

/// A server's word slows down to this part of the configured rate, and no further.
const SLOWEST: u32 = 20;
/// A limit for longer than this, or than the configured window, is not spread evenly: that would
/// waste what it allows at once. Its budget keeps it.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);

impl LimitFields {
    /// Returns the slowest quota that the server states, if it is slower than `configured`, and not
    /// slower than a 20th of it: a server's word never speeds anyone up, and an absurd one stops
    /// nobody.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cost;

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
}
