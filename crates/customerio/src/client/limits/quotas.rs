use std::num::NonZeroU32;
use std::time::Duration;

use tower_pace::{Model, Quota};

use super::Budget;

/// One quota for each budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotas {
    app: Quota,
    ingress: Quota,
    records: Quota,
    trigger: Quota,
}

impl Quotas {
    pub(super) fn documented() -> Self {
        Self {
            app: documented(10, Duration::from_secs(1)),
            ingress: DOCUMENTED_INGRESS,
            records: Quota::per_second(10_000),
            trigger: documented(1, Duration::from_secs(10)),
        }
    }

    pub(super) fn conservative() -> Self {
        Self {
            ingress: Quota::per_second(100),
            ..Self::documented()
        }
    }

    pub(super) const fn of(self, budget: Budget) -> Quota {
        match budget {
            Budget::App => self.app,
            Budget::Ingress => self.ingress,
            Budget::Records => self.records,
            Budget::Trigger => self.trigger,
        }
    }

    pub(super) const fn with(mut self, budget: Budget, quota: Quota) -> Self {
        match budget {
            Budget::App => self.app = quota,
            Budget::Ingress => self.ingress = quota,
            Budget::Records => self.records = quota,
            Budget::Trigger => self.trigger = quota,
        }
        self
    }

    /// Returns one of so many equal parts of each.
    pub(super) fn share(self, processes: NonZeroU32) -> Self {
        Self {
            app: part(self.app, processes),
            ingress: part(self.ingress, processes),
            records: part(self.records, processes),
            trigger: part(self.trigger, processes),
        }
    }
}

pub(super) const DOCUMENTED_INGRESS: Quota = Quota::per_second(1_000);

fn part(whole: Quota, processes: NonZeroU32) -> Quota {
    let model = model(&whole);
    let like_whole = |limit, window| counted(limit, window, model).assuming(&whole);
    let (limit, window) = part_of_first(whole, processes.get());
    let first = like_whole(limit, window);
    let alone = like_whole(whole.limit(), whole.window());
    if whole.spacing() <= alone.spacing() {
        return first;
    }
    // Another limit of a combined quota is slower than its first, and so is a quota for all of it.
    let window = whole.spacing().saturating_mul(processes.get());
    let window = window.saturating_mul(limit).min(LONGEST);
    let all = first.and(like_whole(limit, window));
    all.expect("two limits are not too many")
}

fn part_of_first(whole: Quota, processes: u32) -> (u32, Duration) {
    let limit = whole.limit();
    if limit >= processes {
        return (limit / processes, whole.window());
    }
    let window = whole.window().saturating_mul(processes.div_ceil(limit));
    (1, window.min(LONGEST))
}

/// Returns how the server counts all of a quota's limits. Of a token bucket there are no parts, nor of several models:
/// nothing is known of one then, which costs most and suits each.
fn model(whole: &Quota) -> Model {
    let countable = [Model::SlidingLog, Model::FixedWindow].into_iter();
    let mut named = countable.filter(|model| whole.model(*model).is_ok_and(|same| same == *whole));
    named.next().unwrap_or_default()
}

/// A year, over which nobody waits for a turn.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Makes a quota. A spacing that must suit every algorithm would cost much of a small limit, so for one a sliding log
/// is assumed, which refuses no more than the documentation says.
fn documented(limit: u32, window: Duration) -> Quota {
    let model = match limit <= SMALL {
        true => Model::SlidingLog,
        false => Model::Unknown,
    };
    counted(limit, window, model)
}

fn counted(limit: u32, window: Duration, model: Model) -> Quota {
    let quota = Quota::new(limit, window).expect("the limit is not 0, and the window is in bounds");
    let quota = quota.model(model);
    quota.expect("only a token bucket contradicts a quota without a burst")
}

/// Up to which limit the server is taken for a sliding log.
const SMALL: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quotas: Quotas, budget: Budget, limit: u32, seconds: u64) {
        let quota = quotas.of(budget);
        let expected = (limit, Duration::from_secs(seconds));
        assert_eq!((quota.limit(), quota.window()), expected, "{budget:?}");
    }

    #[test]
    fn presets_are_the_documented_numbers_and_lower_ones() {
        let documented = Quotas::documented();
        check(documented, Budget::Ingress, 1_000, 1);
        check(documented, Budget::Records, 10_000, 1);
        check(documented, Budget::App, 10, 1);
        check(documented, Budget::Trigger, 1, 10);
        let conservative = Quotas::conservative();
        check(conservative, Budget::Ingress, 100, 1);
        check(conservative, Budget::App, 10, 1);
    }

    #[test]
    fn a_share_is_one_of_every_limit_and_keeps_what_is_known_of_the_network() {
        let hourly = Quota::new(1_000, Duration::from_secs(3_600)).unwrap();
        let app = Quota::per_second(10).and(hourly).unwrap();
        let whole = Quotas::documented().with(Budget::App, app.max_transit(LONGEST));
        let share = whole.share(NonZeroU32::new(2).unwrap()).of(Budget::App);
        assert!(share.spacing() >= app.spacing() * 2, "{share:?}");
        assert_eq!(share, share.max_transit(LONGEST));
    }

    #[test]
    fn a_share_keeps_the_model_of_the_whole() {
        fn check(whole: Quota, expected: Model) {
            let share = Quotas::documented().with(Budget::App, whole);
            let share = share.share(NonZeroU32::new(2).unwrap()).of(Budget::App);
            let half = Quota::per_second(whole.limit() / 2).model(expected);
            assert_eq!(share, half.unwrap(), "{whole:?}");
        }
        let counted = |limit, model| Quota::per_second(limit).model(model).unwrap();
        check(Quota::per_second(8), Model::Unknown);
        check(Quota::per_second(20), Model::Unknown);
        check(counted(20, Model::SlidingLog), Model::SlidingLog);
        check(counted(1_000, Model::SlidingLog), Model::SlidingLog);
        check(counted(20, Model::FixedWindow), Model::FixedWindow);
        let logged = counted(8, Model::SlidingLog);
        check(logged.burst(4).unwrap(), Model::SlidingLog);
        check(Quotas::documented().of(Budget::App), Model::SlidingLog);
        let other = Quota::new(8_000, Duration::from_secs(1)).unwrap();
        check(logged.and(other).unwrap(), Model::Unknown);
    }

    #[test]
    fn conservative_limits_let_single_operations_have_all_requests() {
        let conservative = Quotas::conservative();
        let spacing = |budget| conservative.of(budget).spacing();
        assert!(spacing(Budget::Records) <= spacing(Budget::Ingress));
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_whole() {
        let share = |processes| Quotas::documented().share(NonZeroU32::new(processes).unwrap());
        check(share(3), Budget::Ingress, 333, 1);
        check(share(3), Budget::Trigger, 1, 30);
        check(share(11), Budget::App, 1, 2);
        check(share(1), Budget::Trigger, 1, 10);
        check(share(u32::MAX), Budget::Trigger, 1, LONGEST.as_secs());
    }
}
