use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_pace::{Quota, RateLimitLayer};

use super::Budget;
use super::quotas::{DOCUMENTED_INGRESS, Quotas};

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
    /// What the API said of its limits, for limiters that are made later.
    learned: HashMap<Budget, Quota>,
    used: HashMap<(Budget, String), RateLimitLayer>,
}

impl Limits {
    /// The documented rate of the Track API, both versions together: 3,000 requests in 3 seconds, kept as
    /// 1,000 in each.
    ///
    /// It is not strictly enforced; above it data may be dropped behind a 200.
    pub const DOCUMENTED_INGRESS: Quota = DOCUMENTED_INGRESS;

    /// Returns the documented limits: 1,000 requests a second to the Track API, 10 a second to the App API, and one
    /// trigger in 10 seconds. Nothing is documented of how many operations batches may carry: 10,000 a second here.
    #[must_use]
    pub fn documented() -> Self {
        Self::of(Quotas::documented())
    }

    /// Returns the numbers of third-party guides, where they are lower: 100 requests a second to the Track API.
    ///
    /// The same guides advise 50 records a second for imports. That is not among them: it would hold the single operations
    /// of a live program, each of which is a record, to half of their 100 requests. Set it for an import, whose batches then
    /// hold 50 at most:
    ///
    /// ```
    /// use customerio::client::{Budget, Limits, Quota};
    ///
    /// let import = Limits::conservative().records(Quota::per_second(50));
    /// assert_eq!(import.quota(Budget::Records).limit(), 50);
    /// assert_eq!(import.quota(Budget::Ingress).limit(), 100);
    /// ```
    #[must_use]
    pub fn conservative() -> Self {
        Self::of(Quotas::conservative())
    }

    fn of(quotas: Quotas) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            quotas,
            learned: HashMap::new(),
            used: HashMap::new(),
        })))
    }

    /// Sets how many requests may go to the Track API. What was used of the former limits is forgotten.
    #[must_use]
    pub fn ingress(self, quota: Quota) -> Self {
        Self::of(self.quotas().with(Budget::Ingress, quota))
    }

    /// Sets how many operations may go to the Track API, in batches and alone. What was used of the former limits is
    /// forgotten.
    ///
    /// It holds beside [`ingress`](Self::ingress): a request leaves when both have room. A batch of more operations than
    /// the limit counts as the limit, and is refused where [waits are bounded](crate::client::ClientBuilder::max_wait). An
    /// ingress quota of four limits has no room for this one.
    ///
    /// ```
    /// use customerio::client::{Budget, Limits, Quota};
    ///
    /// let limits = Limits::documented().records(Quota::per_second(2_000));
    /// assert_eq!(limits.quota(Budget::Records).limit(), 2_000);
    /// ```
    #[must_use]
    pub fn records(self, quota: Quota) -> Self {
        Self::of(self.quotas().with(Budget::Records, quota))
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
    /// Where a limit has fewer requests than there are processes, the window becomes longer instead: together they keep the
    /// rate then, and not each window. What was used is forgotten, and so is a quota's burst. What it assumes of the network
    /// is kept, and so is its model of the server, but for a token bucket, of which there are no parts: of its parts nothing
    /// is assumed.
    #[must_use]
    pub fn share(self, processes: NonZeroU32) -> Self {
        Self::of(self.quotas().share(processes))
    }

    /// Returns one of the limits.
    #[must_use]
    pub fn quota(&self, budget: Budget) -> Quota {
        self.quotas().of(budget)
    }

    /// Changes one of the limits for all who share it, from now on. What has left counts for the new limit, and what was
    /// [learned](Self::learn) of the former one is forgotten.
    pub fn set(&self, budget: Budget, quota: Quota) {
        self.shared().change(budget, |shared| {
            shared.quotas = shared.quotas.with(budget, quota);
            shared.learned.remove(&budget);
        });
    }

    /// Takes what the API said of one of its limits, which holds where it is slower than the one that was set.
    ///
    /// It holds for the limiters in use and for those that are made later, until something else is said or set.
    ///
    /// ```
    /// use customerio::client::{Budget, Limits, Quota};
    ///
    /// let limits = Limits::documented();
    /// limits.learn(Budget::App, Quota::per_second(5));
    /// let later = limits.layer(Budget::App, "app key of workspace 1");
    /// assert_eq!(later.handle().snapshot().quota.limit(), 5);
    /// ```
    pub fn learn(&self, budget: Budget, quota: Quota) {
        self.shared().change(budget, |shared| {
            shared.learned.insert(budget, quota);
        });
    }

    fn quotas(&self) -> Quotas {
        self.shared().quotas
    }

    /// No step leaves the state half changed, so a panic elsewhere does not spoil it.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the limiter of one budget for whomever `owner` names: the same one for the same name, and the same one for
    /// [`Budget::Ingress`] and [`Budget::Records`].
    ///
    /// The client asks for its own. Put others over requests that you make yourself, such as to the App API.
    #[must_use]
    pub fn layer(&self, budget: Budget, owner: &str) -> RateLimitLayer {
        let mut shared = self.shared();
        let quota = shared.in_force(budget);
        let layer = shared.used.entry((budget.limiter(), owner.to_owned()));
        layer.or_insert_with(|| RateLimitLayer::new(quota)).clone()
    }
}

impl Shared {
    /// Makes a change, and tells the limiters of its budget if another quota is in force then.
    fn change(&mut self, budget: Budget, change: impl FnOnce(&mut Self)) {
        let before = self.in_force(budget);
        change(self);
        let after = self.in_force(budget);
        if after != before {
            for layer in self.limiters(budget) {
                layer.handle().set_quota(after);
            }
        }
    }

    /// Returns what the limiters of a budget keep: requests and records have one limiter, since they leave together.
    fn in_force(&self, budget: Budget) -> Quota {
        match budget {
            Budget::App | Budget::Trigger => self.slower(budget),
            Budget::Ingress | Budget::Records => {
                let requests = self.slower(Budget::Ingress).by_request();
                let records = self.slower(Budget::Records).assuming(&requests);
                requests.and(records).unwrap_or(requests)
            }
        }
    }

    /// Returns what was set or what was learned, whichever is slower.
    fn slower(&self, budget: Budget) -> Quota {
        let configured = self.quotas.of(budget);
        let learned = self.learned.get(&budget).copied();
        let slower = learned.filter(|learned| learned.spacing() > configured.spacing());
        slower.unwrap_or(configured)
    }

    fn limiters(&self, budget: Budget) -> impl Iterator<Item = &RateLimitLayer> {
        let used = self.used.iter();
        let of_budget = used.filter(move |((of, _), _)| *of == budget.limiter());
        of_budget.map(|(_, layer)| layer)
    }
}

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

    fn check(limits: &Limits, owner: &str, expected: u32) {
        let layer = limits.layer(Budget::Ingress, owner);
        assert_eq!(layer.handle().snapshot().quota.limit(), expected, "{owner}");
    }

    #[test]
    fn limiters_that_are_made_later_begin_with_what_was_learned() {
        let limits = Limits::documented();
        check(&limits, "first", 1_000);
        limits.learn(Budget::Ingress, Quota::per_second(200));
        check(&limits, "first", 200);
        check(&limits, "later", 200);
        limits.learn(Budget::Ingress, Quota::per_second(5_000));
        check(&limits, "first", 1_000);
        check(&limits, "faster", 1_000);
    }

    #[test]
    fn what_was_learned_of_records_holds_and_leaves_requests_alone() {
        let limits = Limits::documented();
        let layer = limits.layer(Budget::Ingress, "first");
        let before = layer.handle().snapshot().quota;
        limits.learn(Budget::Records, Quota::per_second(500));
        let after = layer.handle().snapshot().quota;
        assert!(after != before && after.limit() == 1_000);
        limits.learn(Budget::Records, Quota::per_second(20_000));
        assert_eq!(layer.handle().snapshot().quota, before);
    }

    #[test]
    fn what_is_set_ends_what_was_learned() {
        let limits = Limits::documented();
        limits.learn(Budget::Ingress, Quota::per_second(200));
        limits.set(Budget::Ingress, Quota::per_second(500));
        check(&limits, "later", 500);
    }
}
