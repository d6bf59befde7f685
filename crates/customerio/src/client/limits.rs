use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_pace::{Quota, RateLimitLayer};

use super::daily_quota::QuotaGates;
use super::quotas::{DOCUMENTED_INGRESS, Quotas};

/// Names one limit of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiLimit {
    /// Requests to the App API, except messages and triggers.
    App,
    /// Requests to the Track API, both versions together, and transactional messages.
    Ingress,
    /// Operations sent to the Track API. A batch holds several, any other request one. A request
    /// departs when this limit and [`ApiLimit::Ingress`] both allow it.
    Records,
    /// Triggers of broadcasts.
    Trigger,
}

/// The limits that clients keep, with the state of their rate limiters.
///
/// Clones share the limits: clients built with clones of one value stay within them together. Each
/// workspace (base URL and site id, or base URL and App API key) has rate limiters of its own,
/// which are kept as long as the value. Two values that were created separately share nothing.
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
///
/// Methods that take `self` return limits with new rate limiters, which do not know the requests
/// that were sent before. To change limits in use, call [`set`](Self::set).
#[derive(Clone)]
pub struct Limits(Arc<Mutex<Shared>>);

struct Shared {
    quotas: Quotas,
    /// The limits that the API stated. They also hold for rate limiters created later.
    learned: HashMap<ApiLimit, Quota>,
    /// The rate limiter of each workspace for the Track API and messages.
    limiters: HashMap<String, RateLimitLayer>,
    /// The rate limiters of each workspace for the rest of the App API.
    app: HashMap<String, AppLimiters>,
}

/// The limits of one workspace for the App API, except messages.
#[derive(Clone, Debug)]
pub(super) struct AppLimiters {
    pub(super) app: RateLimitLayer,
    pub(super) trigger: RateLimitLayer,
    /// The endpoints whose daily quota is used up.
    pub(super) gates: Arc<QuotaGates>,
}

impl Limits {
    /// The documented limit of the Track API, both versions together: 3,000 requests in 3 seconds,
    /// kept as 1,000 in each second.
    ///
    /// The API does not enforce it strictly. Above it, the API may answer 200 and drop the data.
    pub const DOCUMENTED_INGRESS: Quota = DOCUMENTED_INGRESS;

    /// Returns the documented limits.
    ///
    /// | limit | documented | kept as |
    /// |---|---|---|
    /// | [`Ingress`](ApiLimit::Ingress) | 3,000 in 3 s | 1,000 per second |
    /// | [`Records`](ApiLimit::Records) | nothing | 10,000 per second, this crate's choice |
    /// | [`App`](ApiLimit::App) | 10 per second | 10 per second |
    /// | [`Trigger`](ApiLimit::Trigger) | 1 in 10 s | 1 in 10 s |
    #[must_use]
    pub fn documented() -> Self {
        Self::new(Quotas::documented())
    }

    /// Returns the lower limit that third-party guides recommend: 100 requests per second, and
    /// 10,000 operations per second. Those of the App API are the documented ones.
    ///
    /// For imports, the same guides recommend 50 operations per second. Set that yourself, since it
    /// would also halve the 100 requests of a program that sends single operations. A batch then
    /// holds at most 50 operations:
    ///
    /// ```
    /// use customerio::client::{ApiLimit, Limits, Quota};
    ///
    /// let import = Limits::conservative().records(Quota::per_second(50));
    /// assert_eq!(import.quota(ApiLimit::Records).limit(), 50);
    /// assert_eq!(import.quota(ApiLimit::Ingress).limit(), 100);
    /// ```
    #[must_use]
    pub fn conservative() -> Self {
        Self::new(Quotas::conservative())
    }

    fn new(quotas: Quotas) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            quotas,
            learned: HashMap::new(),
            limiters: HashMap::new(),
            app: HashMap::new(),
        })))
    }

    /// Sets the limit of requests to the App API, except messages and triggers.
    #[must_use]
    pub fn app(self, quota: Quota) -> Self {
        Self::new(self.quotas().with(ApiLimit::App, quota))
    }

    /// Sets the limit of triggers of broadcasts.
    ///
    /// The API keeps up to five triggers that wait. A quota that allows more at once fills that
    /// queue, and the API rejects the rest.
    #[must_use]
    pub fn trigger(self, quota: Quota) -> Self {
        Self::new(self.quotas().with(ApiLimit::Trigger, quota))
    }

    /// Sets the limit of requests to the Track API and of messages.
    #[must_use]
    pub fn ingress(self, quota: Quota) -> Self {
        Self::new(self.quotas().with(ApiLimit::Ingress, quota))
    }

    /// Sets the limit of operations to the Track API, in batches and alone.
    ///
    /// A batch of more operations than the limit counts as the limit. With a
    /// [bounded wait](crate::client::ClientBuilder::max_wait) it is rejected. An ingress quota that
    /// combines four limits has no room for this one: the limit of operations is then ignored.
    ///
    /// ```
    /// use customerio::client::{ApiLimit, Limits, Quota};
    ///
    /// let limits = Limits::documented().records(Quota::per_second(2_000));
    /// assert_eq!(limits.quota(ApiLimit::Records).limit(), 2_000);
    /// ```
    #[must_use]
    pub fn records(self, quota: Quota) -> Self {
        Self::new(self.quotas().with(ApiLimit::Records, quota))
    }

    /// Divides each limit by `processes`, for as many processes that send to one workspace.
    ///
    /// If a limit has fewer requests than there are processes, the window becomes longer instead.
    /// All processes together then keep the rate, but may exceed the limit within one window.
    ///
    /// A quota keeps its assumptions about the network and loses its burst. It keeps its model of
    /// the server, except a token bucket, which cannot be divided: its parts assume no model.
    #[must_use]
    pub fn share(self, processes: NonZeroU32) -> Self {
        Self::new(self.quotas().share(processes))
    }

    /// Returns the quota of one limit.
    #[must_use]
    pub fn quota(&self, limit: ApiLimit) -> Quota {
        self.quotas().of(limit)
    }

    /// Changes one limit for all clients that share it, from now on.
    ///
    /// Requests that departed before count against the new limit. What was [learned](Self::learn)
    /// about the old one is dropped.
    pub fn set(&self, limit: ApiLimit, quota: Quota) {
        self.shared().change(|shared| {
            shared.quotas = shared.quotas.with(limit, quota);
            shared.learned.remove(&limit);
        });
    }

    /// Records a limit that the API stated. The slower of this quota and the one
    /// that was set is kept.
    ///
    /// It holds for clients in use and for clients built later, until the limit is learned or set
    /// again.
    ///
    /// ```
    /// use customerio::Credentials;
    /// use customerio::client::{ApiLimit, Client, Limits, Quota};
    ///
    /// let limits = Limits::documented();
    /// limits.learn(ApiLimit::Ingress, Quota::per_second(5));
    /// let credentials = Credentials::new("site", "key")?;
    /// let later = Client::builder().credentials(credentials).limits(limits).build()?;
    /// assert_eq!(later.limit().quota.limit(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn learn(&self, limit: ApiLimit, quota: Quota) {
        self.shared().change(|shared| {
            shared.learned.insert(limit, quota);
        });
    }

    fn quotas(&self) -> Quotas {
        self.shared().quotas
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // No change leaves the state half done, so a panic in another thread does not matter.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rate limiter of a workspace: the same one for each call with the same name.
    pub(super) fn layer(&self, workspace: &str) -> RateLimitLayer {
        let mut shared = self.shared();
        let quota = shared.in_force();
        let limiter = shared.limiters.entry(workspace.to_owned());
        limiter
            .or_insert_with(|| RateLimitLayer::new(quota))
            .clone()
    }

    /// Returns the limits of a workspace for the App API: the same ones for each call with the same
    /// name.
    pub(super) fn app_limiters(&self, workspace: &str) -> AppLimiters {
        let mut shared = self.shared();
        let [app, trigger] = [ApiLimit::App, ApiLimit::Trigger].map(|limit| shared.slower(limit));
        let limiters = shared.app.entry(workspace.to_owned());
        limiters
            .or_insert_with(|| AppLimiters {
                app: RateLimitLayer::new(app),
                trigger: RateLimitLayer::new(trigger),
                gates: Arc::default(),
            })
            .clone()
    }
}

impl Shared {
    /// Makes a change, and updates the rate limiters if their quota is then another.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let all = |shared: &Self| {
            let [app, trigger] =
                [ApiLimit::App, ApiLimit::Trigger].map(|limit| shared.slower(limit));
            [shared.in_force(), app, trigger]
        };
        let before = all(self);
        change(self);
        let after = all(self);
        let limiters = [
            self.limiters.values().collect::<Vec<_>>(),
            self.app.values().map(|limiters| &limiters.app).collect(),
            self.app
                .values()
                .map(|limiters| &limiters.trigger)
                .collect(),
        ];
        for ((limiters, after), before) in limiters.into_iter().zip(after).zip(before) {
            // An equal quota is not set again: for one window it would slow the limiter down.
            if after != before {
                for limiter in limiters {
                    limiter.handle().set_quota(after);
                }
            }
        }
    }

    /// Returns the quota of the rate limiters of the Track API: requests and operations combined,
    /// since a request departs only when both limits allow it.
    fn in_force(&self) -> Quota {
        let requests = self.slower(ApiLimit::Ingress).by_request();
        let records = self.slower(ApiLimit::Records).assuming(&requests);
        requests.and(records).unwrap_or(requests)
    }

    /// Returns the configured quota or the learned one, whichever is slower.
    fn slower(&self, limit: ApiLimit) -> Quota {
        let configured = self.quotas.of(limit);
        let learned = self.learned.get(&limit).copied();
        let slower = learned.filter(|learned| learned.spacing() > configured.spacing());
        slower.unwrap_or(configured)
    }
}

impl Default for Limits {
    /// Returns the documented limits.
    fn default() -> Self {
        Self::documented()
    }
}

/// Shows the quotas, and leaves out the workspaces.
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

    fn check(limits: &Limits, workspace: &str, expected: u32) {
        let layer = limits.layer(workspace);
        let quota = layer.handle().snapshot().quota;
        assert_eq!(quota.limit(), expected, "{workspace}");
    }

    #[test]
    fn limiters_created_later_begin_with_the_learned_limit() {
        let limits = Limits::documented();
        check(&limits, "first", 1_000);
        limits.learn(ApiLimit::Ingress, Quota::per_second(200));
        check(&limits, "first", 200);
        check(&limits, "later", 200);
        limits.learn(ApiLimit::Ingress, Quota::per_second(5_000));
        check(&limits, "first", 1_000);
        check(&limits, "faster", 1_000);
    }

    #[test]
    fn a_learned_limit_of_records_leaves_the_limit_of_requests_alone() {
        let limits = Limits::documented();
        let layer = limits.layer("first");
        let before = layer.handle().snapshot().quota;
        limits.learn(ApiLimit::Records, Quota::per_second(500));
        let after = layer.handle().snapshot().quota;
        assert!(after != before && after.limit() == 1_000);
        limits.learn(ApiLimit::Records, Quota::per_second(20_000));
        assert_eq!(layer.handle().snapshot().quota, before);
    }

    #[test]
    fn each_limit_of_the_app_api_changes_alone() {
        let limits = Limits::documented();
        let quotas = || {
            let AppLimiters { app, trigger, .. } = limits.app_limiters("first");
            [app, trigger].map(|layer| layer.handle().snapshot().quota.limit())
        };
        assert_eq!(quotas(), [10, 1]);
        limits.set(ApiLimit::App, Quota::per_second(5));
        assert_eq!(quotas(), [5, 1]);
        check(&limits, "first", 1_000);
        limits.learn(ApiLimit::Ingress, Quota::per_second(200));
        assert_eq!(quotas(), [5, 1]);
    }

    #[test]
    fn a_limit_that_is_set_replaces_the_learned_one() {
        let limits = Limits::documented();
        limits.learn(ApiLimit::Ingress, Quota::per_second(200));
        limits.set(ApiLimit::Ingress, Quota::per_second(500));
        check(&limits, "later", 500);
    }
}
