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
use super::disabled::DisabledApi;
use super::server_pause::LastPauseField;
use super::stats::Counters;

/// The stack as one boxed service, so that [`Client`](super::Client) is a type without parameters.
pub(super) type Stack =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<PermitBody<Full<Bytes>>>, BoxError>;

/// The layers of a client. All stacks of one client share their state.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    pub(super) retry: RetryLayer,
    pub(super) limit: RateLimitLayer,
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

impl Layers {
    /// Returns the layers of a disabled client, of which only attempt and concurrency are used.
    pub(super) fn disabled() -> Self {
        Self {
            retry: RetryLayer::new(RetryPolicy::default()),
            limit: Limits::documented().layer(""),
            bounds: WaitBounds::default(),
            // No request waits for a permit. The layer is there for the type of its body.
            concurrency: ConcurrencyLayer::new(1_000_000),
            timeout: Duration::from_secs(10),
            counters: Arc::default(),
            last_pause_field: Arc::default(),
        }
    }

    /// Returns a stack that counts and sends nothing.
    pub(super) fn disabled_stack(&self) -> Stack {
        let stack = ServiceBuilder::new()
            .layer(self.concurrency.clone())
            .service(self.attempt(DisabledApi));
        BoxCloneSyncService::new(stack)
    }

    /// Returns the innermost service, which makes one attempt.
    fn attempt<S>(&self, service: S) -> AttemptService<S> {
        let (counters, last_pause_field) = (
            Arc::clone(&self.counters),
            Arc::clone(&self.last_pause_field),
        );
        AttemptService::new(service, self.timeout, counters, last_pause_field)
    }

    /// Returns the layers over a transport.
    pub(super) fn over<S, B>(&self, service: S) -> Stack
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        // Retry is outside, so that each attempt waits in the rate limiter. Concurrency is inside,
        // so that no permit is held during that wait.
        let bounded = self.concurrency.layer(self.attempt(service));
        // Without bounds no wait is rejected, and the error needs no conversion.
        if self.bounds.is_none() {
            let layers = ServiceBuilder::new()
                .layer(self.retry.clone())
                .layer(self.limit.clone());
            return BoxCloneSyncService::new(layers.service(bounded));
        }
        let layers = ServiceBuilder::new()
            .map_err(rejection_or_failure)
            .layer(self.retry.clone())
            .layer(self.bounds.apply(self.limit.clone()));
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
