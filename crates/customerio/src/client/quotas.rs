use std::num::NonZeroU32;
use std::time::Duration;

use tower_pace::{Model, Quota};

use super::ApiLimit;

/// 3,000 requests in 3 seconds, kept as 1,000 in each second: no burst, so no server that counts
/// another way is exceeded.
pub(super) const DOCUMENTED_INGRESS: Quota = Quota::per_second(1_000);

/// The documented limit of the App API: 10 requests in each second. The vendor does not say how it
/// counts. A sliding log is the strictest model beside an unknown one, which would cost a fifth of
/// the rate.
fn documented_app() -> Quota {
    let quota = Quota::per_second(10).model(Model::SlidingLog);
    quota.expect("a sliding log allows any limit")
}

/// The documented limit of triggers: one in 10 seconds.
///
/// The first one departs at once, although another process may have triggered just before: the API
/// keeps up to five triggers that wait, so that one is late and not lost.
fn documented_trigger() -> Quota {
    quota(1, Duration::from_secs(10), Model::SlidingLog).unused_at_start()
}

/// The longest window of a share: a year. No request waits for longer, and arithmetic with it does
/// not overflow.
const MAX_WINDOW: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The quota of each limit of the API.
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
            app: documented_app(),
            ingress: DOCUMENTED_INGRESS,
            records: Quota::per_second(10_000),
            trigger: documented_trigger(),
        }
    }

    pub(super) fn conservative() -> Self {
        Self {
            ingress: Quota::per_second(100),
            ..Self::documented()
        }
    }

    pub(super) const fn of(self, limit: ApiLimit) -> Quota {
        match limit {
            ApiLimit::App => self.app,
            ApiLimit::Ingress => self.ingress,
            ApiLimit::Records => self.records,
            ApiLimit::Trigger => self.trigger,
        }
    }

    pub(super) const fn with(mut self, limit: ApiLimit, quota: Quota) -> Self {
        match limit {
            ApiLimit::App => self.app = quota,
            ApiLimit::Ingress => self.ingress = quota,
            ApiLimit::Records => self.records = quota,
            ApiLimit::Trigger => self.trigger = quota,
        }
        self
    }

    /// Returns one of `processes` equal parts of each quota.
    pub(super) fn share(self, processes: NonZeroU32) -> Self {
        Self {
            app: part(self.app, processes),
            ingress: part(self.ingress, processes),
            records: part(self.records, processes),
            trigger: part(self.trigger, processes),
        }
    }
}

fn part(whole: Quota, processes: NonZeroU32) -> Quota {
    let model = model(&whole);
    let like_whole = |limit, window| quota(limit, window, model).assuming(&whole);
    let (limit, window) = part_of_first(whole, processes.get());
    let first = like_whole(limit, window);
    let first_of_whole = like_whole(whole.limit(), whole.window());
    if whole.spacing() <= first_of_whole.spacing() {
        return first;
    }
    // A combined quota is slower than its first limit. Its other limits are not readable, so the
    // part gets a second limit with the spacing of the whole.
    let window = whole.spacing().saturating_mul(processes.get());
    let window = window.saturating_mul(limit).min(MAX_WINDOW);
    let all = first.and(like_whole(limit, window));
    all.expect("a quota can combine two limits")
}

/// Returns limit and window of a part of the first limit of a quota.
fn part_of_first(whole: Quota, processes: u32) -> (u32, Duration) {
    let limit = whole.limit();
    // Rounded down, so that the parts never add up to more than the whole.
    if limit >= processes {
        return (limit / processes, whole.window());
    }
    let window = whole.window().saturating_mul(processes.div_ceil(limit));
    (1, window.min(MAX_WINDOW))
}

/// Returns the model of all limits of a quota.
///
/// A token bucket cannot be divided, and a quota may combine several models. For these it returns
/// [`Model::Unknown`], which is the slowest and suits each server.
fn model(whole: &Quota) -> Model {
    let divisible = [Model::SlidingLog, Model::FixedWindow].into_iter();
    let mut same = divisible.filter(|model| whole.model(*model).is_ok_and(|same| same == *whole));
    same.next().unwrap_or_default()
}

fn quota(limit: u32, window: Duration, model: Model) -> Quota {
    let quota = Quota::new(limit, window).expect("the limit is not 0, and the window is in bounds");
    let quota = quota.model(model);
    quota.expect("without a burst, only a token bucket is an error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quotas: Quotas, limit: ApiLimit, expected: u32, seconds: u64) {
        let quota = quotas.of(limit);
        let expected = (expected, Duration::from_secs(seconds));
        assert_eq!((quota.limit(), quota.window()), expected, "{limit:?}");
    }

    fn share(ingress: Quota, processes: u32) -> Quotas {
        let whole = Quotas::documented().with(ApiLimit::Ingress, ingress);
        whole.share(NonZeroU32::new(processes).unwrap())
    }

    #[test]
    fn presets_are_the_documented_and_the_recommended_numbers() {
        let documented = Quotas::documented();
        check(documented, ApiLimit::Ingress, 1_000, 1);
        check(documented, ApiLimit::Records, 10_000, 1);
        check(documented, ApiLimit::App, 10, 1);
        check(documented, ApiLimit::Trigger, 1, 10);
        check(Quotas::conservative(), ApiLimit::Ingress, 100, 1);
        check(Quotas::conservative(), ApiLimit::Records, 10_000, 1);
    }

    #[test]
    fn a_share_divides_every_limit_and_keeps_the_assumptions_about_the_network() {
        let hourly = Quota::new(1_000, Duration::from_secs(3_600)).unwrap();
        let whole = Quota::per_second(10).and(hourly).unwrap();
        let share = share(whole.max_transit(MAX_WINDOW), 2).of(ApiLimit::Ingress);
        assert!(share.spacing() >= whole.spacing() * 2, "{share:?}");
        assert_eq!(share, share.max_transit(MAX_WINDOW));
    }

    #[test]
    fn a_share_keeps_the_model_of_the_whole() {
        fn check(whole: Quota, expected: Model) {
            let share = share(whole, 2).of(ApiLimit::Ingress);
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
        let other = Quota::new(8_000, Duration::from_secs(1)).unwrap();
        check(logged.and(other).unwrap(), Model::Unknown);
    }

    #[test]
    fn conservative_limits_allow_a_single_operation_in_each_request() {
        let conservative = Quotas::conservative();
        let spacing = |limit| conservative.of(limit).spacing();
        assert!(spacing(ApiLimit::Records) <= spacing(ApiLimit::Ingress));
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_whole() {
        let slow = Quota::new(1, Duration::from_secs(10)).unwrap();
        check(share(DOCUMENTED_INGRESS, 3), ApiLimit::Ingress, 333, 1);
        check(share(slow, 3), ApiLimit::Ingress, 1, 30);
        check(share(Quota::per_second(10), 11), ApiLimit::Ingress, 1, 2);
        check(share(slow, 1), ApiLimit::Ingress, 1, 10);
        check(
            share(slow, u32::MAX),
            ApiLimit::Ingress,
            1,
            MAX_WINDOW.as_secs(),
        );
    }
}
