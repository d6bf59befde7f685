use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{ReplayBody, ResponseFuture, Retry, RetryLayer};
use crate::DeadlineLayer;

/// Applies [`BufferedRetry`]. [`RetryLayer::buffered`] returns it.
#[derive(Clone, Debug)]
pub struct BufferedRetryLayer {
    layer: RetryLayer,
    limit: usize,
}

impl BufferedRetryLayer {
    pub(super) const fn new(layer: RetryLayer, limit: usize) -> Self {
        Self { layer, limit }
    }

    /// Ends each call after a time, which includes all attempts and backoffs. The error is then an
    /// [`Error`](crate::Error).
    #[must_use]
    pub fn deadline(self, within: Duration) -> DeadlineLayer<Self> {
        DeadlineLayer::over(self, within)
    }
}

impl<S> Layer<S> for BufferedRetryLayer {
    type Service = BufferedRetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BufferedRetry {
            retry: self.layer.service(inner),
            limit: self.limit,
        }
    }
}

/// A [`Retry`] for bodies that are not `Clone`: it keeps the frames that were read, up to a limit,
/// and sends them again.
///
/// The inner service gets a [`ReplayBody`] in place of the body. A body that is longer than the
/// limit is passed on unchanged, and its request is not sent again.
#[derive(Clone, Debug)]
pub struct BufferedRetry<S> {
    retry: Retry<S>,
    limit: usize,
}

impl<S> BufferedRetry<S> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        self.retry.get_ref()
    }

    /// Returns the inner service. A request made through it is not retried.
    pub fn get_mut(&mut self) -> &mut S {
        self.retry.get_mut()
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.retry.into_inner()
    }
}

impl<S, B, C> Service<Request<B>> for BufferedRetry<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<C>> + Clone,
    S::Error: 'static,
    B: Body + Send + 'static,
    C: Body,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReplayBody<B>, C>;

    /// Is ready when the inner service is ready. Before each later attempt, the future waits for
    /// the inner service's readiness again.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.retry.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.retry.call(ReplayBody::within(request, self.limit))
    }
}
