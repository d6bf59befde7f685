use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pacing::Pacer;
use tower_service::Service;

use super::ResponseFuture;
use crate::line::{Patience, Queue, Unbounded, Waiter};

/// Lets requests leave so that the server refuses none; see the [module](super).
///
/// Clones share the limit. The inner service's error is passed on as it is: this service has none of its own, unless
/// its waits are bounded; then it fails with [`Bounded`](crate::Bounded).
#[derive(Clone, Debug)]
pub struct RateLimit<S, W: Patience = Unbounded> {
    inner: S,
    waiter: Waiter<Pacer, W>,
}

impl<S, W: Patience> RateLimit<S, W> {
    pub(super) fn new(inner: S, queue: Arc<Queue<Pacer>>, patience: W) -> Self {
        let lane = queue.open_lane();
        Self {
            inner,
            waiter: Waiter::new(queue, lane, patience),
        }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it is not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, C, W> Service<Request<B>> for RateLimit<S, W>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
    W: Patience,
{
    type Response = Response<C>;
    type Error = W::Error<S::Error>;
    type Future = ResponseFuture<S, B, W>;

    /// Is always ready: the request waits in its future, which asks the inner service when its turn has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A clone is enough: the inner service was never asked for readiness, so there is none to keep.
        let waiter = self.waiter.for_request(request.extensions());
        ResponseFuture::new(self.inner.clone(), request, waiter)
    }
}
