use std::time::Duration;

use crate::Moment;

/// How long a deposit lasts at least; it is gone after twice as long. The floor saves up for as long.
const LIFETIME: Duration = Duration::from_secs(10);

/// How many retries of failures may be paid for: a share of the requests, and a floor for those who send few.
///
/// A server in trouble gets so many requests more, and not four times as many. Refusals for a limit (429) are no matter
/// of the budget: whoever knows the limit keeps it.
///
/// ```
/// use pacing::{Moment, retry::{Account, Budget}};
///
/// let mut account = Account::new(Budget::new(1, 10).floor(0));
/// account.deposit(25, Moment::ORIGIN);
/// let retries = (0..25).filter(|_| account.withdraw(Moment::ORIGIN)).count();
/// assert_eq!(retries, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    retries: u32,
    requests: u32,
    floor: u32,
}

impl Budget {
    /// Pays for `retries` out of `requests`, each of which counts for 10 s at least and 20 s at most, with no floor.
    ///
    /// # Panics
    ///
    /// Panics if `requests` is zero.
    #[must_use]
    pub const fn new(retries: u32, requests: u32) -> Self {
        assert!(requests > 0, "a share of zero requests is none");
        Self {
            retries,
            requests,
            floor: 0,
        }
    }

    /// Pays for so many retries a second besides, saved up for 10 s at most.
    #[must_use]
    pub const fn floor(self, per_second: u32) -> Self {
        Self {
            floor: per_second,
            ..self
        }
    }
}

impl Default for Budget {
    /// One retry out of ten requests, and three a second besides.
    fn default() -> Self {
        Self::new(1, 10).floor(3)
    }
}

/// What is left of a [`Budget`].
///
/// It is exact: each request adds the budget's numerator and each retry takes its denominator, in whole numbers.
#[derive(Clone, Debug)]
pub struct Account {
    budget: Budget,
    /// What was deposited since `since`, and in the lifetime before.
    fresh: u64,
    old: u64,
    since: Moment,
    /// How much of the floor is saved up, in retries times nanoseconds; and when that was so.
    saved: u128,
    saved_at: Moment,
}

impl Account {
    /// Returns an account in which the floor is saved up.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            fresh: 0,
            old: 0,
            since: Moment::ORIGIN,
            saved: most_saved(budget),
            saved_at: Moment::ORIGIN,
        }
    }

    /// Records so many requests, of however many attempts each.
    pub fn deposit(&mut self, requests: u32, now: Moment) {
        self.expire(now);
        let deposit = u64::from(self.budget.retries) * u64::from(requests);
        self.fresh = self.fresh.saturating_add(deposit);
    }

    /// Records so many requests, of which the last was made now and the others since `earliest`.
    ///
    /// If that is longer ago than a deposit lasts for sure, they count as made then: rather too few retries than too many.
    pub fn deposit_since(&mut self, requests: u32, earliest: Moment, now: Moment) {
        let made = if now.since(earliest) < LIFETIME {
            now
        } else {
            earliest
        };
        let earlier = requests.saturating_sub(1);
        self.deposit(earlier, made);
        self.deposit(requests - earlier, now);
    }

    /// Pays for a retry, out of what is lost first. False if nothing is left, and nothing is taken then.
    pub fn withdraw(&mut self, now: Moment) -> bool {
        self.expire(now);
        self.withdraw_deposits() || self.withdraw_saved(now)
    }

    /// Takes back a retry that was paid for and not made. It counts as deposited now.
    pub fn put_back(&mut self, now: Moment) {
        self.expire(now);
        self.fresh = self.fresh.saturating_add(u64::from(self.budget.requests));
    }

    fn expire(&mut self, now: Moment) {
        let age = now.since(self.since);
        if age < LIFETIME {
            return;
        }
        // The next ten seconds began when the last ones ended, whenever anybody came to notice.
        let (kept, since) = match age < LIFETIME * 2 {
            true => (self.fresh, self.since + LIFETIME),
            false => (0, now),
        };
        (self.old, self.fresh, self.since) = (kept, 0, since);
    }

    fn withdraw_deposits(&mut self) -> bool {
        let price = u64::from(self.budget.requests);
        if self.old.saturating_add(self.fresh) < price {
            return false;
        }
        let of_old = self.old.min(price);
        self.old -= of_old;
        self.fresh -= price - of_old;
        true
    }

    fn withdraw_saved(&mut self, now: Moment) -> bool {
        let price = Duration::from_secs(1).as_nanos();
        let earned = now.since(self.saved_at).as_nanos() * u128::from(self.budget.floor);
        self.saved = (self.saved + earned).min(most_saved(self.budget));
        self.saved_at = self.saved_at.max(now);
        let left = self.saved.checked_sub(price);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

fn most_saved(budget: Budget) -> u128 {
    LIFETIME.as_nanos() * u128::from(budget.floor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn withdrawals(account: &mut Account, now: Moment) -> u64 {
        (0..1_000_000).take_while(|_| account.withdraw(now)).count() as u64
    }

    /// Budgets that add up fractions allow a third too few or a half too many retries; this is exact.
    #[test]
    fn ten_thousand_requests_pay_for_exactly_their_share() {
        fn check(retries: u32, requests: u32, floor: u32) {
            let mut account = Account::new(Budget::new(retries, requests).floor(floor));
            for _ in 0..10_000 {
                account.deposit(1, at(0));
            }
            let share = 10_000 * u64::from(retries) / u64::from(requests);
            let expected = share + 10 * u64::from(floor);
            let paid = withdrawals(&mut account, at(0));
            assert_eq!(paid, expected, "{retries} of {requests}, floor {floor}");
        }
        let shares = [1, 10, 100, 1_000, 2_500, 5_000, 7_500, 9_900, 9_990, 9_999];
        for share in shares {
            check(share, 10_000, 0);
            check(share, 10_000, 3);
        }
        check(2, 1, 0);
        check(1, 3, 1);
        check(1, 7, 0);
        check(0, 1, 3);
    }

    /// Shares with which another client's budget allows too few or too many.
    #[test]
    fn a_thousand_requests_pay_for_exactly_their_share() {
        for share in 1..10 {
            let mut account = Account::new(Budget::new(share, 10));
            for _ in 0..1_000 {
                account.deposit(1, at(0));
            }
            assert_eq!(
                withdrawals(&mut account, at(0)),
                u64::from(share) * 100,
                "{share}"
            );
        }
    }

    #[test]
    fn what_comes_in_between_makes_no_deposit_last_longer() {
        let mut account = Account::new(Budget::new(1, 1));
        account.deposit(1_000, at(0));
        account.deposit(1, at(19_999));
        assert_eq!(withdrawals(&mut account, at(29_998)), 1);
    }

    #[test]
    fn a_deposit_lasts_ten_seconds_and_not_twenty() {
        fn check(withdrawn: u64, paid: u64) {
            let mut account = Account::new(Budget::new(1, 1));
            account.deposit(1, at(0));
            account.deposit(1, at(9_999));
            assert_eq!(
                withdrawals(&mut account, at(withdrawn)),
                paid,
                "{withdrawn}"
            );
        }
        check(9_999, 2);
        check(10_000, 2);
        check(19_999, 2);
        check(20_000, 0);
    }

    #[test]
    fn the_floor_is_saved_up_for_ten_seconds_and_earned_again() {
        let mut account = Account::new(Budget::new(0, 1).floor(3));
        assert_eq!(withdrawals(&mut account, at(0)), 30);
        assert_eq!(withdrawals(&mut account, at(333)), 0);
        assert_eq!(withdrawals(&mut account, at(334)), 1);
        assert_eq!(withdrawals(&mut account, at(1_000)), 2);
        assert_eq!(withdrawals(&mut account, at(3_600_000)), 30);
    }

    #[test]
    fn what_was_put_back_can_be_taken_again() {
        let mut account = Account::new(Budget::new(1, 10));
        account.put_back(at(0));
        assert_eq!(withdrawals(&mut account, at(0)), 1);
    }

    #[test]
    fn what_was_put_back_late_lasts_as_long_as_a_deposit() {
        let mut account = Account::new(Budget::new(1, 1));
        account.deposit(1, at(0));
        assert!(account.withdraw(at(0)));
        account.put_back(at(29_000));
        assert_eq!(withdrawals(&mut account, at(38_999)), 1);
    }

    #[test]
    fn requests_of_unknown_dates_last_no_longer_than_they_may() {
        fn check(earliest: u64, now: u64, withdrawn: u64, paid: u64) {
            let mut account = Account::new(Budget::new(1, 1));
            account.deposit_since(64, at(earliest), at(now));
            let found = withdrawals(&mut account, at(withdrawn));
            assert_eq!(found, paid, "{earliest} {now} {withdrawn}");
        }
        check(0, 9_999, 9_999, 64);
        check(0, 9_999, 20_000, 0);
        check(9_999, 19_998, 25_000, 64);
        check(9_999, 19_999, 25_000, 1);
        check(0, 10_000, 10_000, 64);
        check(0, 19_999, 19_999, 64);
        check(0, 20_000, 20_000, 1);
        check(0, 3_600_000, 3_600_000, 1);
        check(3_600_000, 3_600_000, 3_600_000, 64);
    }

    #[test]
    fn no_request_of_an_unknown_date_is_no_deposit() {
        let mut account = Account::new(Budget::new(1, 1));
        account.deposit_since(0, at(0), at(1));
        assert_eq!(withdrawals(&mut account, at(1)), 0);
    }

    #[test]
    fn a_deposit_at_the_turn_of_a_lifetime_lasts_as_long_as_any() {
        let mut account = Account::new(Budget::new(1, 1));
        account.deposit(1, at(0));
        account.deposit(1, at(10_000));
        assert_eq!(withdrawals(&mut account, at(20_000)), 1);
    }

    #[test]
    fn requests_can_be_counted_together() {
        let mut account = Account::new(Budget::new(2, 10));
        account.deposit(25, at(0));
        assert_eq!(withdrawals(&mut account, at(0)), 5);
    }

    #[test]
    fn the_default_is_a_tenth_and_three_a_second() {
        assert_eq!(Budget::default(), Budget::new(1, 10).floor(3));
    }

    proptest! {
        /// However requests, retries and time mix: never more than the share of all requests and the floor of all time.
        #[test]
        fn it_never_pays_for_more_than_it_got(
            steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..200),
            retries in 0_u32..5, requests in 1_u32..20, floor in 0_u32..5,
        ) {
            let mut account = Account::new(Budget::new(retries, requests).floor(floor));
            let (mut now, mut deposits, mut paid) = (0, 0, 0);
            for (millis, is_deposit) in steps {
                now += millis;
                if is_deposit {
                    account.deposit(1, at(now));
                    deposits += 1;
                } else {
                    paid += u64::from(account.withdraw(at(now)));
                }
                let share = deposits * u64::from(retries) / u64::from(requests);
                let saved = u64::from(floor) * (10_000 + now) / 1_000;
                prop_assert!(paid <= share + saved);
            }
        }
    }
}
