use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tower_pace::{Model, Quota, RateLimitLayer};

/// Names what is limited apart from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Budget {
    /// Requests to the App API, apart from triggers and sends.
    App,
    /// Requests to the Track API, both versions together.
    Ingress,
    /// Requests that trigger a broadcast. Each takes one of [`Budget::App`] as well.
    Trigger,
}

/// Holds the limits that clients keep, and what was used of them.
///
/// A clone shares the limits: clients made from clones of one value stay within them together. Each workspace, that is
/// each base URL with its site id, has limits of its own; they are kept as long as the value is. Two values that were
/// made apart share nothing.
///
/// ```
/// use customerio::client::{Client, Limits, Quota};
/// use customerio::Credentials;
///
/// let limits = Limits::documented().ingress(Quota::per_second(100));
/// let client = |limits: Limits| {
///     let credentials = Credentials::new("site", "key").unwrap();
///     Client::builder().credentials(credentials).limits(limits).build()
/// };
/// let (first, second) = (client(limits.clone()), client(limits)); // 100 a second together
/// assert!(first.is_ok() && second.is_ok());
/// ```
#[derive(Clone)]
pub struct Limits(Arc<Mutex<Shared>>);

struct Shared {
    quotas: Quotas,
    used: HashMap<(Budget, String), RateLimitLayer>,
}

#[derive(Clone, Copy, Debug)]
struct Quotas {
    app: Quota,
    ingress: Quota,
    trigger: Quota,
}

impl Limits {
    /// The documented rate of the Track API, both versions together: 3,000 requests in 3 seconds, kept as
    /// 1,000 in each.
    ///
    /// It is not strictly enforced; above it data may be dropped behind a 200.
    pub const DOCUMENTED_INGRESS: Quota = Quota::per_second(1_000);

    /// Returns the documented limits: 1,000 requests a second to the Track API, 10 a second to the App API, and one
    /// trigger in 10 seconds.
    #[must_use]
    pub fn documented() -> Self {
        Self::of(Quotas {
            app: quota(10, Duration::from_secs(1)),
            ingress: Self::DOCUMENTED_INGRESS,
            trigger: quota(1, Duration::from_secs(10)),
        })
    }

    /// Returns the numbers of third-party guides, where they are lower: 100 requests a second to the Track API.
    #[must_use]
    pub fn conservative() -> Self {
        Self::documented().ingress(Quota::per_second(100))
    }

    fn of(quotas: Quotas) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            quotas,
            used: HashMap::new(),
        })))
    }

    /// Sets how many requests may go to the Track API. What was used of the former limits is forgotten.
    #[must_use]
    pub fn ingress(self, quota: Quota) -> Self {
        Self::of(self.quotas().with(Budget::Ingress, quota))
    }

    /// Sets how many requests may go to the App API. What was used of the former limits is forgotten.
    #[must_use]
    pub fn app(self, quota: Quota) -> Self {
        Self::of(self.quotas().with(Budget::App, quota))
    }

    /// Sets how many broadcasts may be triggered. What was used of the former limits is forgotten.
    #[must_use]
    pub fn trigger(self, quota: Quota) -> Self {
        Self::of(self.quotas().with(Budget::Trigger, quota))
    }

    /// Returns one of `processes` equal parts of each limit, for as many processes that send as one workspace.
    ///
    /// Where a limit has fewer requests than there are processes, the window becomes longer instead. What was used is
    /// forgotten, and what a quota assumes of the network is back at its default.
    #[must_use]
    pub fn share(self, processes: NonZeroU32) -> Self {
        let Quotas {
            app,
            ingress,
            trigger,
        } = self.quotas();
        Self::of(Quotas {
            app: part(app, processes),
            ingress: part(ingress, processes),
            trigger: part(trigger, processes),
        })
    }

    /// Returns one of the limits.
    #[must_use]
    pub fn quota(&self, budget: Budget) -> Quota {
        self.quotas().of(budget)
    }

    /// Changes one of the limits for all who share it, from now on. What has left counts for the new limit.
    pub fn set(&self, budget: Budget, quota: Quota) {
        let mut shared = self.shared();
        shared.quotas = shared.quotas.with(budget, quota);
        for layer in shared.layers(budget) {
            layer.handle().set_quota(quota);
        }
    }

    /// Takes what the API said of one of its limits, which holds where it is slower than the one that was set.
    ///
    /// Limiters that are made later begin with the one that was set.
    pub fn learn(&self, budget: Budget, quota: Quota) {
        for layer in self.shared().layers(budget) {
            layer.handle().learn(quota);
        }
    }

    fn quotas(&self) -> Quotas {
        self.shared().quotas
    }

    /// No step leaves the state half changed, so a panic elsewhere does not spoil it.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the limiter of one budget for whomever `owner` names: the same one for the same name.
    ///
    /// The client asks for its own. Put others over requests that you make yourself, such as to the App API.
    #[must_use]
    pub fn layer(&self, budget: Budget, owner: &str) -> RateLimitLayer {
        let mut shared = self.shared();
        let quota = shared.quotas.of(budget);
        let layer = shared.used.entry((budget, owner.to_owned()));
        layer.or_insert_with(|| RateLimitLayer::new(quota)).clone()
    }
}

impl Shared {
    fn layers(&self, budget: Budget) -> impl Iterator<Item = &RateLimitLayer> {
        let used = self.used.iter().filter(move |((of, _), _)| *of == budget);
        used.map(|(_, layer)| layer)
    }
}

impl Quotas {
    const fn of(self, budget: Budget) -> Quota {
        match budget {
            Budget::App => self.app,
            Budget::Ingress => self.ingress,
            Budget::Trigger => self.trigger,
        }
    }

    const fn with(mut self, budget: Budget, quota: Quota) -> Self {
        match budget {
            Budget::App => self.app = quota,
            Budget::Ingress => self.ingress = quota,
            Budget::Trigger => self.trigger = quota,
        }
        self
    }
}

fn part(whole: Quota, processes: NonZeroU32) -> Quota {
    let (limit, processes) = (whole.limit(), processes.get());
    if limit >= processes {
        return quota(limit / processes, whole.window());
    }
    quota(
        1,
        whole
            .window()
            .saturating_mul(processes.div_ceil(limit))
            .min(LONGEST),
    )
}

/// A year, over which nobody waits for a turn.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Makes a quota. A spacing that must suit every algorithm would cost much of a small limit, so for one a sliding log
/// is assumed, which refuses no more than the documentation says.
fn quota(limit: u32, window: Duration) -> Quota {
    let quota = Quota::new(limit, window).expect("the limit is not 0, and the window is in bounds");
    if limit > SMALL {
        return quota;
    }
    let logged = quota.model(Model::SlidingLog);
    logged.expect("a sliding log contradicts no quota without a burst")
}

/// Up to which limit the server is taken for a sliding log.
const SMALL: u32 = 10;

impl Default for Limits {
    /// Returns the documented limits.
    fn default() -> Self {
        Self::documented()
    }
}

/// Shows the limits, and not whose they are.
impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("quotas", &self.quotas())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: &Limits, budget: Budget, limit: u32, seconds: u64) {
        let quota = limits.quota(budget);
        let expected = (limit, Duration::from_secs(seconds));
        assert_eq!((quota.limit(), quota.window()), expected, "{budget:?}");
    }

    #[test]
    fn presets_are_the_documented_numbers_and_lower_ones() {
        let documented = Limits::documented();
        check(&documented, Budget::Ingress, 1_000, 1);
        check(&documented, Budget::App, 10, 1);
        check(&documented, Budget::Trigger, 1, 10);
        let conservative = Limits::conservative();
        check(&conservative, Budget::Ingress, 100, 1);
        check(&conservative, Budget::App, 10, 1);
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_whole() {
        let share = |processes| Limits::documented().share(NonZeroU32::new(processes).unwrap());
        check(&share(3), Budget::Ingress, 333, 1);
        check(&share(3), Budget::Trigger, 1, 30);
        check(&share(11), Budget::App, 1, 2);
        check(&share(1), Budget::Trigger, 1, 10);
        check(&share(u32::MAX), Budget::Trigger, 1, LONGEST.as_secs());
    }
}
