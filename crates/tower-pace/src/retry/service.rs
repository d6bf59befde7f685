use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pacing::retry::Attempts;
use tower_service::Service;

use super::ResponseFuture;
use super::retries::Retries;
use super::shared::Plan;

/// Sends a request again when that is safe and promising; see the [module](super).
///
/// The result is that of the last attempt. Only if the inner service fails to become ready for another one, and the last
/// attempt was answered, the result is the error of that. Errors are the inner service's, as they are; this one has none of its own.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    plan: Arc<Plan>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
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

    /// Is ready when the inner service is. Later attempts wait for its readiness again, in the future.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready must make the first attempt: what it reserved would
        // starve its own clone.
        let fresh = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, fresh);
        let plan = Arc::clone(&self.plan);
        plan.shared.deposit();
        // The clone is sent and the original kept, since that moves neither more often than it
        // must.
        match Attempts::default().may_continue(&plan.policy) {
            true => ResponseFuture::new(
                ready.call(request.clone()),
                Retries::new(ready, Some(request), plan),
            ),
            false => ResponseFuture::new(ready.call(request), Retries::new(ready, None, plan)),
        }
    }
}
