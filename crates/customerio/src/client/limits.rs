use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tower_pace::rate::shared::SharedLimits;
use tower_pace::{Quota, RateLimitLayer, UnsafeQuota};

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
pub struct Limits(Arc<Mutex<State>>);

struct State {
    quotas: Quotas,
    /// The store of limits that several processes share.
    store: Option<SharedLimits>,
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
        Self::new(Quotas::documented(), None)
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
        Self::new(Quotas::conservative(), None)
    }

    fn new(quotas: Quotas, store: Option<SharedLimits>) -> Self {
        Self(Arc::new(Mutex::new(State {
            quotas,
            store,
            learned: HashMap::new(),
            limiters: HashMap::new(),
            app: HashMap::new(),
        })))
    }

    /// Sets the limit of requests to the App API, except messages and triggers.
    #[must_use]
    pub fn app(self, quota: Quota) -> Self {
        self.with(|quotas| quotas.with(ApiLimit::App, quota))
    }

    /// Sets the limit of triggers of broadcasts.
    ///
    /// The API keeps up to five triggers that wait. A quota that allows more at once fills that
    /// queue, and the API rejects the rest.
    #[must_use]
    pub fn trigger(self, quota: Quota) -> Self {
        self.with(|quotas| quotas.with(ApiLimit::Trigger, quota))
    }

    /// Sets the limit of requests to the Track API and of messages.
    #[must_use]
    pub fn ingress(self, quota: Quota) -> Self {
        self.with(|quotas| quotas.with(ApiLimit::Ingress, quota))
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
        self.with(|quotas| quotas.with(ApiLimit::Records, quota))
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
        self.with(|quotas| quotas.share(processes))
    }

    /// Shares the limits with all processes whose `limits` use the same store, such as Redis.
    ///
    /// Unlike [`share`](Self::share), this needs no fixed number of processes, and a busy process
    /// uses what the others leave. The limits of a workspace are stored under its host and a hash
    /// of its credential, so processes with the same credential share them. Keep all of them at the
    /// same quotas: the slowest one holds.
    ///
    /// If a quota does not allow for the round trips to the store,
    /// [`ClientBuilder::build`](super::ClientBuilder::build) fails. While the store is away, each
    /// process has an equal part of each limit. The daily quota of an endpoint and its pause are
    /// not shared.
    #[must_use]
    pub fn shared(self, limits: &SharedLimits) -> Self {
        let quotas = self.quotas();
        Self::new(quotas, Some(limits.clone()))
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
        self.state().change(|state| {
            state.quotas = state.quotas.with(limit, quota);
            state.learned.remove(&limit);
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
        self.state().change(|state| {
            state.learned.insert(limit, quota);
        });
    }

    /// Returns limits with other quotas and new rate limiters.
    fn with(&self, change: impl FnOnce(Quotas) -> Quotas) -> Self {
        let (quotas, store) = {
            let state = self.state();
            (state.quotas, state.store.clone())
        };
        Self::new(change(quotas), store)
    }

    fn quotas(&self) -> Quotas {
        self.state().quotas
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change leaves the state half done, so a panic in another thread does not matter.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rate limiter of a workspace: the same one for each call with the same name.
    ///
    /// # Errors
    ///
    /// Fails if the quota does not allow for the round trips to the store.
    pub(super) fn layer(&self, workspace: &str) -> Result<RateLimitLayer, UnsafeQuota> {
        let mut state = self.state();
        if let Some(known) = state.limiters.get(workspace) {
            return Ok(known.clone());
        }
        let layer = state.new_layer(state.in_force(), workspace, "ingress")?;
        state.limiters.insert(workspace.to_owned(), layer.clone());
        Ok(layer)
    }

    /// Returns the limits of a workspace for the App API: the same ones for each call with the same
    /// name.
    ///
    /// # Errors
    ///
    /// As for [`layer`](Self::layer).
    pub(super) fn app_limiters(&self, workspace: &str) -> Result<AppLimiters, UnsafeQuota> {
        let mut state = self.state();
        if let Some(known) = state.app.get(workspace) {
            return Ok(known.clone());
        }
        let limiters = AppLimiters {
            app: state.new_layer(state.slower(ApiLimit::App), workspace, "app")?,
            trigger: state.new_layer(state.slower(ApiLimit::Trigger), workspace, "trigger")?,
            gates: Arc::default(),
        };
        state.app.insert(workspace.to_owned(), limiters.clone());
        Ok(limiters)
    }
}

impl State {
    /// Returns a new rate limiter, which is shared with other processes if the limits are.
    fn new_layer(
        &self,
        quota: Quota,
        workspace: &str,
        limit: &str,
    ) -> Result<RateLimitLayer, UnsafeQuota> {
        let layer = RateLimitLayer::new(quota);
        match &self.store {
            None => Ok(layer),
            Some(store) => layer.shared(&format!("{}:{limit}", store_name(workspace)), store),
        }
    }

    /// Makes a change, and updates the rate limiters if their quota is then another.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let all = |state: &Self| {
            let [app, trigger] =
                [ApiLimit::App, ApiLimit::Trigger].map(|limit| state.slower(limit));
            [state.in_force(), app, trigger]
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

/// Returns the name of a workspace in a store: the host, and a hash of the whole with its
/// credential, which must not be stored.
fn store_name(workspace: &str) -> String {
    let after_scheme = workspace.split("://").last().unwrap_or_default();
    let host = after_scheme
        .split(['/', ' ', '\n'])
        .next()
        .unwrap_or_default();
    let hash = Sha256::digest(workspace);
    let hash: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{host}:{hash}")
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
        let layer = limits.layer(workspace).unwrap();
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
        let layer = limits.layer("first").unwrap();
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
            let AppLimiters { app, trigger, .. } = limits.app_limiters("first").unwrap();
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
    fn a_workspace_is_stored_under_its_host_and_a_hash() {
        let name = store_name("https://track.customer.io site-1");
        let hash = name.strip_prefix("track.customer.io:").unwrap();
        assert!(hash.len() == 32 && !hash.contains("site"), "{name}");
        assert_ne!(name, store_name("https://track.customer.io site-2"));
        assert!(store_name("http://127.0.0.1:4000/base site").starts_with("127.0.0.1:4000:"));
    }

    #[test]
    fn a_limit_that_is_set_replaces_the_learned_one() {
        let limits = Limits::documented();
        limits.learn(ApiLimit::Ingress, Quota::per_second(200));
        limits.set(ApiLimit::Ingress, Quota::per_second(500));
        check(&limits, "later", 500);
    }
}
