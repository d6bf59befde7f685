use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::permit::{Permit, Permits};
use super::{PermitBody, ResponseFuture};
use crate::line::{Queue, Unbounded, Waiter};

/// Bounds how many requests are in flight, to the end of the response's body; see the [module](super).
///
/// Clones share the bound, but never a permit or a place in the line. The inner service's error is passed on as it is;
/// this service has none of its own.
#[derive(Debug)]
pub struct Concurrency<S> {
    inner: S,
    waiter: Waiter<Permits, Unbounded>,
    /// Taken when the service became ready, spent by the next call.
    permit: Option<Permit>,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, queue: Arc<Queue<Permits>>) -> Self {
        let lane = queue.open_lane();
        Self {
            inner,
            waiter: Waiter::new(queue, lane, Unbounded),
            permit: None,
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

    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.permit.is_none() {
            let Ok(()) = ready!(self.waiter.poll_turn(cx));
            self.permit = self.waiter.claim(|queue, ()| Permit::claimed(queue));
        }
        Poll::Ready(())
    }
}

impl<S, B, C> Service<Request<B>> for Concurrency<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    C: Body,
{
    type Response = Response<PermitBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    /// Is ready when a permit was taken and the inner service is ready. While the inner service is not, the permit is
    /// given back, and the place in the line is kept.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_permit(cx));
        let ready = self.inner.poll_ready(cx);
        match ready {
            Poll::Ready(Ok(())) => self.waiter.leave(),
            Poll::Ready(Err(_)) => {
                self.permit = None;
                self.waiter.leave();
            }
            Poll::Pending => {
                let Ok(()) = self.waiter.wait_stuck(cx);
                self.permit = None;
            }
        }
        ready
    }

    /// # Panics
    ///
    /// Panics if the service was not polled ready before, as every service may.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let permit = self
            .permit
            .take()
            .expect("poll_ready was called and the service is ready");
        ResponseFuture::new(self.inner.call(request), permit)
    }
}

impl<S: Clone> Clone for Concurrency<S> {
    /// By hand, since a clone must not hold the permit of its original.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            waiter: self.waiter.clone(),
            permit: None,
        }
    }
}
