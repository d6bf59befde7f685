use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};
use tower_pace::concurrency::PermitBody;
use tower_pace::wait::BoundedWait;
use tower_pace::{ConcurrencyLayer, Error, RateLimitLayer, RetryLayer, RetryPolicy};

use super::Limits;
use super::attempt::{AttemptService, BoxError};
use super::daily_quota::QuotaService;
use super::disabled::DisabledApi;
use super::limits::AppLimiters;
use super::server_pause::LastPauseField;
use super::stats::Counters;

/// How many bytes of a response of the App API are read. Its longest are pages of people and
/// archived messages, which take some megabytes. With a higher bound a server could fill the
/// memory.
const MAX_APP_BODY: usize = 16 << 20;

/// The stack as one boxed service, so that [`Client`](super::Client) is a type without parameters.
pub(super) type Stack =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<PermitBody<Full<Bytes>>>, BoxError>;

/// The stacks of one client, one for each limit. They share retries, permits and connections.
#[derive(Clone)]
pub(super) struct Stacks {
    /// The Track API.
    pub(super) ingress: Stack,
    /// The messages of the App API, which the same rate limiter counts.
    pub(super) message: Stack,
    /// The rest of the App API.
    pub(super) app: Stack,
    pub(super) trigger: Stack,
}

/// The layers of a client. All stacks of one client share their state.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    pub(super) retry: RetryLayer,
    /// The retries of the App API, where the mark of a request alone says whether it may be
    /// replayed.
    pub(super) app_retry: RetryLayer,
    pub(super) limit: RateLimitLayer,
    pub(super) app: AppLimiters,
    /// The time for which an endpoint with a daily quota is closed.
    pub(super) quota_pause: Duration,
    pub(super) bounds: WaitBounds,
    pub(super) concurrency: ConcurrencyLayer,
    pub(super) timeout: Duration,
    pub(super) counters: Arc<Counters>,
    pub(super) last_pause_field: Arc<LastPauseField>,
}

/// The bounds on the wait for a departure. Without any, each request waits as long as it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WaitBounds {
    pub(super) max_wait: Option<Duration>,
    pub(super) max_queued: Option<usize>,
}

impl WaitBounds {
    fn is_none(self) -> bool {
        self.max_wait.is_none() && self.max_queued.is_none()
    }

    /// Returns the rate limit with these bounds.
    fn apply(self, limit: RateLimitLayer) -> RateLimitLayer<BoundedWait> {
        let limit = limit.max_queued(self.max_queued.unwrap_or(usize::MAX));
        match self.max_wait {
            Some(time) => limit.max_wait(time),
            None => limit,
        }
    }
}

/// The invariant of limits that no store shares.
const UNSHARED: &str = "limits of this process alone have no round trips";

impl Layers {
    /// Returns the layers of a disabled client, of which only attempt and concurrency are used.
    pub(super) fn disabled() -> Self {
        Self {
            retry: RetryLayer::new(RetryPolicy::default()),
            // As in a client: the mark of a request alone decides.
            app_retry: RetryLayer::new(RetryPolicy::default().replays(|_| false)),
            limit: Limits::documented().layer("").expect(UNSHARED),
            app: Limits::documented().app_limiters("").expect(UNSHARED),
            quota_pause: Duration::from_secs(60 * 60),
            bounds: WaitBounds::default(),
            // No request waits for a permit. The layer is there for the type of its body.
            concurrency: ConcurrencyLayer::new(1_000_000),
            timeout: Duration::from_secs(10),
            counters: Arc::default(),
            last_pause_field: Arc::default(),
        }
    }

    /// Returns stacks that count and send nothing.
    pub(super) fn disabled_stacks(&self) -> Stacks {
        let stack = ServiceBuilder::new()
            .layer(self.concurrency.clone())
            .service(self.attempt(DisabledApi));
        let stack = BoxCloneSyncService::new(stack);
        Stacks {
            ingress: stack.clone(),
            message: stack.clone(),
            app: stack.clone(),
            trigger: stack,
        }
    }

    /// Returns the innermost service, which makes one attempt.
    fn attempt<S>(&self, service: S) -> AttemptService<S> {
        let (counters, last_pause_field) = (
            Arc::clone(&self.counters),
            Arc::clone(&self.last_pause_field),
        );
        AttemptService::new(service, self.timeout, counters, last_pause_field)
    }

    /// Returns the innermost service of the App API, which keeps daily quotas.
    fn app_attempt<S>(
        &self,
        service: S,
        last_pause_field: Arc<LastPauseField>,
    ) -> QuotaService<AttemptService<S>> {
        let counters = Arc::clone(&self.counters);
        let attempt = AttemptService::new(service, self.timeout, counters, last_pause_field);
        QuotaService::new(attempt.max_body(MAX_APP_BODY))
    }

    /// Returns the stacks over a transport.
    pub(super) fn over<S, B>(&self, service: S) -> Stacks
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        // `Client::server_pause` speaks of the limit that messages share, and not of the others.
        let message = self.app_attempt(service.clone(), Arc::clone(&self.last_pause_field));
        let app = self.app_attempt(service.clone(), Arc::default());
        Stacks {
            ingress: self.stack(&self.retry, &self.limit, self.attempt(service)),
            message: self.stack(&self.app_retry, &self.limit, message),
            app: self.stack(&self.app_retry, &self.app.app, app.clone()),
            trigger: self.stack(&self.app_retry, &self.app.trigger, app),
        }
    }

    /// Returns the layers over a service that makes one attempt.
    fn stack<S>(&self, retry: &RetryLayer, limit: &RateLimitLayer, attempt: S) -> Stack
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = BoxError>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        // Retry is outside, so that each attempt waits in the rate limiter. Concurrency is inside,
        // so that no permit is held during that wait.
        let bounded = self.concurrency.layer(attempt);
        // Without bounds no wait is rejected, and the error needs no conversion.
        if self.bounds.is_none() {
            let layers = ServiceBuilder::new()
                .layer(retry.clone())
                .layer(limit.clone());
            return BoxCloneSyncService::new(layers.service(bounded));
        }
        let layers = ServiceBuilder::new()
            .map_err(rejection_or_failure)
            .layer(retry.clone())
            .layer(self.bounds.apply(limit.clone()));
        BoxCloneSyncService::new(layers.service(bounded))
    }
}

/// Unwraps the error of a bounded limit, so that the client finds a rejection and `was_sent` the
/// error of the transport.
fn rejection_or_failure(error: Error<BoxError>) -> BoxError {
    match error.rejection() {
        Some(rejected) => (*rejected).into(),
        None => error.into_inner().expect("a limit has no deadline"),
    }
}
