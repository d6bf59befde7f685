use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use tower_service::Service;

use super::in_flight::InFlight;
use super::nested;
use super::permit::Permit;
use super::state::ConcurrencyState;
use super::{BodyEnd, ResponseFuture, Until};
use crate::error::LimitKind;
use crate::wait::{Queue, Unacquired, UnboundedWait, WaitPolicy, Waiter};

/// Bounds how many requests are in flight, to the end of the response's body; see the
/// [module](super).
///
/// Clones share the limit, but no permit and no position in the wait queue. Errors are those of the
/// inner service, unchanged. If waits are bounded, the service fails with
/// [`Error`](crate::Error) instead.
pub struct Concurrency<S, W: WaitPolicy = UnboundedWait, U = BodyEnd> {
    inner: S,
    waiter: Waiter<ConcurrencyState, W>,
    /// The end of the last wait: a permit or a rejection for the next call.
    acquired: Option<Result<Permit, W::Rejection>>,
    until: PhantomData<U>,
}

impl<S, W: WaitPolicy, U> Concurrency<S, W, U> {
    pub(super) fn new(inner: S, queue: Arc<Queue<ConcurrencyState>>, policy: W) -> Self {
        let group = queue.add_group();
        Self::with_waiter(inner, Waiter::new(queue, group, (), policy))
    }

    fn with_waiter(inner: S, waiter: Waiter<ConcurrencyState, W>) -> Self {
        Self {
            inner,
            waiter,
            acquired: None,
            until: PhantomData,
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

impl<S, B, C, W, U> Service<Request<B>> for Concurrency<S, W, U>
where
    S: Service<Request<B>, Response = Response<C>>,
    W: WaitPolicy,
    U: Until<C>,
{
    type Response = Response<U::Body>;
    type Error = W::Error<S::Error>;
    type Future = ResponseFuture<S::Future, W, U>;

    /// Is ready when a permit was acquired and the inner service is ready. While the inner service
    /// is not ready, no permit is held and the position is kept.
    ///
    /// It is also ready when a bounded wait was rejected. The next call then fails, and the service
    /// can be used again.
    ///
    /// # Panics
    ///
    /// Panics if the same layer is in the stack twice.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &self.acquired {
            // Polled again before the call: the inner service may have failed since.
            Some(Ok(_)) => {
                let ready = self.waiter.poll_inner(cx, &mut self.inner);
                if !matches!(ready, Poll::Ready(Ok(()))) {
                    self.acquired = None;
                }
                if ready.is_ready() {
                    return ready.map_err(W::inner);
                }
            }
            Some(Err(_)) => return Poll::Ready(Ok(())),
            None => {}
        }
        assert!(
            !self.waiter.is_new() || !nested::is_nested(self.waiter.queue()),
            "a stack holds the same concurrency limit twice: \
             make a ConcurrencyLayer of its own for each place"
        );
        self.acquired = match ready!(self.waiter.poll_acquire(cx, &mut self.inner, |_| {})) {
            Ok(permit) => Some(Ok(permit)),
            // The next call fails, not the service.
            Err(Unacquired::Rejected(rejection)) => Some(Err(rejection)),
            Err(Unacquired::Failed(error)) => return Poll::Ready(Err(W::inner(error))),
        };
        // The next call enqueues anew.
        self.waiter.leave();
        Poll::Ready(Ok(()))
    }

    /// Calls the inner service with the permit. Where waits are bounded, a request whose
    /// [`Deadline`](crate::Deadline) has passed is rejected, and the permit is released.
    ///
    /// # Panics
    ///
    /// Panics if the service was not polled ready before, as any service may.
    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let acquired = self
            .acquired
            .take()
            .expect("poll_ready was called and the service is ready");
        let acquired = acquired.and_then(|permit| {
            let policy = self.waiter.policy().with_request(request.extensions());
            policy
                .check_deadline(LimitKind::Concurrency, Duration::ZERO)
                .map(|()| permit)
        });
        match acquired {
            Ok(permit) => {
                let call = InFlight::new(permit);
                ResponseFuture::in_flight(self.inner.call(request), call)
            }
            Err(rejection) => ResponseFuture::rejected(rejection),
        }
    }
}

impl<S: Clone, W: WaitPolicy, U> Clone for Concurrency<S, W, U> {
    /// Returns a service of the same limit, without a permit and without a position.
    fn clone(&self) -> Self {
        Self::with_waiter(self.inner.clone(), self.waiter.clone())
    }
}

impl<S: fmt::Debug, W: WaitPolicy + fmt::Debug, U> fmt::Debug for Concurrency<S, W, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("inner", &self.inner)
            .field("waiter", &self.waiter)
            .field("is_ready", &self.acquired.is_some())
            .finish_non_exhaustive()
    }
}
