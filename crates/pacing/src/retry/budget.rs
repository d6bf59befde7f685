use std::time::Duration;

use crate::Moment;

/// How long a request counts at least; it expires after twice this time. The floor is saved up for
/// as long. A shorter time pays for no retry if requests are few; a longer one lets a long quiet
/// time pay for a burst of retries.
const LIFETIME: Duration = Duration::from_secs(10);

/// How many failures may be retried: a share of all requests, and a floor for clients that send
/// few.
///
/// ```
/// use pacing::{Moment, retry::{RetryBudget, RetryTokens}};
///
/// let mut tokens = RetryTokens::new(RetryBudget::new(1, 10)); // one retry in ten requests
/// tokens.deposit(25, Moment::ORIGIN);
/// let retries = (0..25).filter(|_| tokens.withdraw(Moment::ORIGIN)).count();
/// assert_eq!(retries, 2);
/// ```
///
/// By default a server in trouble gets a tenth more requests, not four times as many. A request
/// that was throttled (429) costs nothing: the rate limit already bounds these retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    retries: u32,
    requests: u32,
    floor: u32,
}

impl RetryBudget {
    /// Returns a budget of `retries` per `requests`, without a floor. Each request counts for at
    /// least 10 s and at most 20 s.
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

    /// Adds `per_second` retries a second, whatever the number of requests. They are saved up for
    /// at most 10 s.
    #[must_use]
    pub const fn floor(self, per_second: u32) -> Self {
        Self {
            floor: per_second,
            ..self
        }
    }

    /// The most of the floor that is saved up, in retries times nanoseconds.
    fn most_saved(self) -> u128 {
        LIFETIME.as_nanos() * u128::from(self.floor)
    }
}

impl Default for RetryBudget {
    /// One retry per ten requests, and three retries a second.
    fn default() -> Self {
        Self::new(1, 10).floor(3)
    }
}

/// The retries that a [`RetryBudget`] allows now.
///
/// The count is exact. Each request adds the budget's `retries` as tokens, and each retry takes the
/// budget's `requests`. Both are whole numbers, so no fraction is lost or gained.
#[derive(Clone, Debug)]
pub struct RetryTokens {
    budget: RetryBudget,
    /// The tokens that were added since `since`.
    fresh: u64,
    /// The tokens that were added in the lifetime before `since`. They expire next.
    old: u64,
    since: Moment,
    /// The part of the floor that was saved up at `saved_at`, in retries times nanoseconds.
    saved: u128,
    saved_at: Moment,
}

impl RetryTokens {
    /// Returns the tokens of an unused budget: the whole floor is saved up.
    #[must_use]
    pub fn new(budget: RetryBudget) -> Self {
        Self {
            budget,
            fresh: 0,
            old: 0,
            since: Moment::ORIGIN,
            saved: budget.most_saved(),
            saved_at: Moment::ORIGIN,
        }
    }

    /// Records requests at `now`. The attempts of one request count as one.
    pub fn deposit(&mut self, requests: u32, now: Moment) {
        self.expire(now);
        let deposit = u64::from(self.budget.retries) * u64::from(requests);
        self.fresh = self.fresh.saturating_add(deposit);
    }

    /// Records requests, of which the last one was made at `now` and the others since `earliest`.
    ///
    /// If `earliest` is 10 s ago or longer, the others count as made then: this allows too few
    /// retries rather than too many.
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

    /// Takes the tokens of one retry, those that expire first. Returns false and takes nothing if
    /// too few are left.
    pub fn withdraw(&mut self, now: Moment) -> bool {
        self.expire(now);
        self.withdraw_deposits() || self.withdraw_saved(now)
    }

    /// Gives back the tokens of a retry that was not made. They count as added at `now`.
    pub fn put_back(&mut self, now: Moment) {
        self.expire(now);
        self.fresh = self.fresh.saturating_add(u64::from(self.budget.requests));
    }

    fn expire(&mut self, now: Moment) {
        let age = now.since(self.since);
        if age < LIFETIME {
            return;
        }
        // The new lifetime starts at the end of the last one, not at `now`. Otherwise a call in
        // between would make tokens last longer than two lifetimes.
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
        // The old tokens expire first, so they are taken first.
        let of_old = self.old.min(price);
        self.old -= of_old;
        self.fresh -= price - of_old;
        true
    }

    fn withdraw_saved(&mut self, now: Moment) -> bool {
        // `saved` counts retries times nanoseconds, so one retry is a second of nanoseconds. The
        // floor per second is earned per nanosecond without a division.
        let price = Duration::from_secs(1).as_nanos();
        let earned = now.since(self.saved_at).as_nanos() * u128::from(self.budget.floor);
        self.saved = (self.saved + earned).min(self.budget.most_saved());
        // A clock that goes back must not let the same time be earned twice.
        self.saved_at = self.saved_at.max(now);
        let left = self.saved.checked_sub(price);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn withdrawals(tokens: &mut RetryTokens, now: Moment) -> u64 {
        (0..1_000_000).take_while(|_| tokens.withdraw(now)).count() as u64
    }

    /// A budget that adds fractions allows a third too few or a half too many retries.
    #[test]
    fn ten_thousand_requests_pay_for_exactly_their_share() {
        fn check(retries: u32, requests: u32, floor: u32) {
            let mut tokens = RetryTokens::new(RetryBudget::new(retries, requests).floor(floor));
            for _ in 0..10_000 {
                tokens.deposit(1, at(0));
            }
            let share = 10_000 * u64::from(retries) / u64::from(requests);
            let expected = share + 10 * u64::from(floor);
            let paid = withdrawals(&mut tokens, at(0));
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

    /// With these shares another client's budget allows too few or too many retries.
    #[test]
    fn a_thousand_requests_pay_for_exactly_their_share() {
        for share in 1..10 {
            let mut tokens = RetryTokens::new(RetryBudget::new(share, 10));
            for _ in 0..1_000 {
                tokens.deposit(1, at(0));
            }
            assert_eq!(
                withdrawals(&mut tokens, at(0)),
                u64::from(share) * 100,
                "{share}"
            );
        }
    }

    #[test]
    fn a_deposit_in_between_makes_no_other_last_longer() {
        let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
        tokens.deposit(1_000, at(0));
        tokens.deposit(1, at(19_999));
        assert_eq!(withdrawals(&mut tokens, at(29_998)), 1);
    }

    #[test]
    fn a_deposit_lasts_ten_seconds_and_not_twenty() {
        fn check(withdrawn: u64, paid: u64) {
            let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
            tokens.deposit(1, at(0));
            tokens.deposit(1, at(9_999));
            assert_eq!(withdrawals(&mut tokens, at(withdrawn)), paid, "{withdrawn}");
        }
        check(9_999, 2);
        check(10_000, 2);
        check(19_999, 2);
        check(20_000, 0);
    }

    #[test]
    fn the_floor_is_saved_up_for_ten_seconds_and_earned_again() {
        let mut tokens = RetryTokens::new(RetryBudget::new(0, 1).floor(3));
        assert_eq!(withdrawals(&mut tokens, at(0)), 30);
        assert_eq!(withdrawals(&mut tokens, at(333)), 0);
        assert_eq!(withdrawals(&mut tokens, at(334)), 1);
        assert_eq!(withdrawals(&mut tokens, at(1_000)), 2);
        assert_eq!(withdrawals(&mut tokens, at(3_600_000)), 30);
    }

    #[test]
    fn tokens_that_were_put_back_can_be_withdrawn_again() {
        let mut tokens = RetryTokens::new(RetryBudget::new(1, 10));
        tokens.put_back(at(0));
        assert_eq!(withdrawals(&mut tokens, at(0)), 1);
    }

    #[test]
    fn tokens_that_were_put_back_late_last_as_long_as_a_deposit() {
        let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
        tokens.deposit(1, at(0));
        assert!(tokens.withdraw(at(0)));
        tokens.put_back(at(29_000));
        assert_eq!(withdrawals(&mut tokens, at(38_999)), 1);
    }

    #[test]
    fn requests_of_unknown_times_last_no_longer_than_others() {
        fn check(earliest: u64, now: u64, withdrawn: u64, paid: u64) {
            let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
            tokens.deposit_since(64, at(earliest), at(now));
            let found = withdrawals(&mut tokens, at(withdrawn));
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
    fn zero_requests_of_unknown_times_are_no_deposit() {
        let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
        tokens.deposit_since(0, at(0), at(1));
        assert_eq!(withdrawals(&mut tokens, at(1)), 0);
    }

    #[test]
    fn a_deposit_between_two_lifetimes_lasts_as_long_as_any() {
        let mut tokens = RetryTokens::new(RetryBudget::new(1, 1));
        tokens.deposit(1, at(0));
        tokens.deposit(1, at(10_000));
        assert_eq!(withdrawals(&mut tokens, at(20_000)), 1);
    }

    #[test]
    fn requests_can_be_recorded_together() {
        let mut tokens = RetryTokens::new(RetryBudget::new(2, 10));
        tokens.deposit(25, at(0));
        assert_eq!(withdrawals(&mut tokens, at(0)), 5);
    }

    #[test]
    fn the_default_is_a_tenth_and_three_a_second() {
        assert_eq!(RetryBudget::default(), RetryBudget::new(1, 10).floor(3));
    }

    proptest! {
        /// At most the share of all requests and the floor of all time, in any order of calls.
        #[test]
        fn withdrawals_never_exceed_deposits_and_the_floor(
            steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..200),
            retries in 0_u32..5, requests in 1_u32..20, floor in 0_u32..5,
        ) {
            let mut tokens = RetryTokens::new(RetryBudget::new(retries, requests).floor(floor));
            let (mut now, mut deposits, mut paid) = (0, 0, 0);
            for (millis, is_deposit) in steps {
                now += millis;
                if is_deposit {
                    tokens.deposit(1, at(now));
                    deposits += 1;
                } else {
                    paid += u64::from(tokens.withdraw(at(now)));
                }
                let share = deposits * u64::from(retries) / u64::from(requests);
                let saved = u64::from(floor) * (10_000 + now) / 1_000;
                prop_assert!(paid <= share + saved);
            }
        }
    }
}
