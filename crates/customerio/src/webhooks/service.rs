use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::ResponseFuture;
use super::layer::Settings;

/// Verifies the signature of each request before the inner service is called; see
/// [`VerifyLayer`](super::VerifyLayer).
///
/// It is always ready. A request waits for the inner service after its signature was verified, so
/// that requests without one occupy no capacity of the inner service.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Verify<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it is not verified.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    B: Body,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A clone is polled ready in the future. The readiness of `self.inner` was not polled, so
        // none is lost.
        ResponseFuture::new(request, self.inner.clone(), Arc::clone(&self.settings))
    }
}
