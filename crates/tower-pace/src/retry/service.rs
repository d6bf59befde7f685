use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pacing::retry::Attempts;
use tower_service::Service;

use super::ResponseFuture;
use super::config::Config;
use super::retrier::Retrier;

/// Sends a request again when a replay is safe and another attempt is promising; see the
/// [module](super).
///
/// Returns the result of the last attempt. There is one exception: if the inner service fails while
/// it gets ready for another attempt, and the last attempt ended with a response, that failure is
/// returned. Errors are those of the inner service, unchanged.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it is not retried.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, C> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
    B: Clone,
    C: Body,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, C>;

    /// Is ready when the inner service is ready. Before each later attempt, the future waits for
    /// the inner service's readiness again.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready must make the first attempt: what it reserved would
        // starve its own clone.
        let fresh = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, fresh);
        let config = Arc::clone(&self.config);
        config.state.record_request();
        // Before the first clone, so that all attempts have the same key.
        if let Some(keys) = &config.keys {
            keys.add_to(&mut request, &config.policy);
        }
        match Attempts::default().may_continue(&config.policy) {
            // The clone is sent and the original is kept: each of them is moved only once. A
            // request is large, so a move shows in the time of a call.
            true => ResponseFuture::new(
                ready.call(request.clone()),
                Retrier::new(ready, Some(request), config),
            ),
            false => ResponseFuture::new(ready.call(request), Retrier::new(ready, None, config)),
        }
    }
}
