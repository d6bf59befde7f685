use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::ResponseFuture;
use super::span::AttemptSpan;

/// Makes a span of the crate `tracing` for each call; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct Spanned<S> {
    inner: S,
}

impl<S> Spanned<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it has no span.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, C> Service<Request<B>> for Spanned<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = AttemptSpan::of(&request);
        // Within the span, since a client may do a part of its work here.
        let response = span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(response, span)
    }
}
