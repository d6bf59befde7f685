use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tower_service::Service;

use super::{Deadline, ResponseFuture};
use crate::error::Error;

/// Ends each call at its deadline; see the [module](super).
///
/// The inner service finds the deadline in the extensions of the request. If the deadline has
/// passed before the call, the inner service is not called and stays ready for the next one. A call
/// in flight at the deadline is dropped. A call ends with the head of its response, so the time of
/// the body is not bounded.
#[derive(Clone, Debug)]
pub struct Deadlined<S> {
    inner: S,
    within: Duration,
}

impl<S> Deadlined<S> {
    pub(super) fn new(inner: S, within: Duration) -> Self {
        Self { inner, within }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it has no deadline.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, C> Service<Request<B>> for Deadlined<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<C>;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future>;

    /// Returns ready when the inner service is ready. This wait counts for no call: inside a rate
    /// limit, an attempt that has departed must not wait for a permit.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let own = Deadline::within(self.within);
        let carried = request.extensions().get::<Deadline>();
        let deadline = carried.map_or(own, |carried| own.min(*carried));
        if deadline.has_passed() {
            return ResponseFuture::late(deadline);
        }
        request.extensions_mut().insert(deadline);
        ResponseFuture::new(self.inner.call(request), deadline)
    }
}
