use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};
use tower_pace::concurrency::PermitBody;
use tower_pace::line::Bounds;
use tower_pace::{ConcurrencyLayer, Error, RateLimitLayer, RetryLayer, RetryPolicy};

use super::disabled::Nothing;
use super::exchange::{BoxError, Exchange};
use super::hold::LastField;
use super::stats::Counters;
use super::{Budget, Limits};

/// The one boxed service, so that the client has a type that can be named.
pub(super) type Stack =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<PermitBody<Full<Bytes>>>, BoxError>;

/// Holds what every stack of one client shares.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    pub(super) retry: RetryLayer,
    pub(super) limit: RateLimitLayer,
    pub(super) bounds: WaitBounds,
    pub(super) concurrency: ConcurrencyLayer,
    pub(super) timeout: Duration,
    pub(super) counters: Arc<Counters>,
    pub(super) last_field: Arc<LastField>,
}

/// How long a request may wait for its turn, and behind how many others. Without either nothing is
/// refused.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WaitBounds {
    pub(super) time: Option<Duration>,
    pub(super) others: Option<usize>,
}

impl WaitBounds {
    fn is_none(self) -> bool {
        self.time.is_none() && self.others.is_none()
    }

    fn over(self, limit: RateLimitLayer) -> RateLimitLayer<Bounds> {
        let limit = limit.max_queued(self.others.unwrap_or(usize::MAX));
        match self.time {
            Some(time) => limit.max_wait(time),
            None => limit,
        }
    }
}

impl Layers {
    /// Returns layers that hold nothing back.
    pub(super) fn disabled() -> Self {
        Self {
            retry: RetryLayer::new(RetryPolicy::default()),
            limit: Limits::documented().layer(Budget::Ingress, ""),
            bounds: WaitBounds::default(),
            concurrency: ConcurrencyLayer::new(1_000_000),
            timeout: Duration::from_secs(10),
            counters: Arc::default(),
            last_field: Arc::default(),
        }
    }

    /// Puts what counts over what sends nothing.
    pub(super) fn over_nothing(&self) -> Stack {
        let stack = ServiceBuilder::new()
            .layer(self.concurrency.clone())
            .service(self.exchange(Nothing));
        BoxCloneSyncService::new(stack)
    }

    fn exchange<S>(&self, service: S) -> Exchange<S> {
        let (counters, last_field) = (Arc::clone(&self.counters), Arc::clone(&self.last_field));
        Exchange::new(service, self.timeout, counters, last_field)
    }

    /// Puts the layers over a transport.
    pub(super) fn over<S, B>(&self, service: S) -> Stack
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let bounded = self.concurrency.layer(self.exchange(service));
        if self.bounds.is_none() {
            let layers = ServiceBuilder::new()
                .layer(self.retry.clone())
                .layer(self.limit.clone());
            return BoxCloneSyncService::new(layers.service(bounded));
        }
        let layers = ServiceBuilder::new()
            .map_err(rejection_or_failure)
            .layer(self.retry.clone())
            .layer(self.bounds.over(self.limit.clone()));
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
