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

/// BoundedWait how many requests are in flight, to the end of the response's body; see the
/// [module](super).
///
/// Clones share the bound, but never a permit or a place in the line. The inner service's error is
/// passed on as it is: this service has none of its own, unless its waits are bounded; then it
/// fails with [`Error`](crate::Error).
pub struct Concurrency<S, U = BodyEnd, W: WaitPolicy = UnboundedWait> {
    inner: S,
    waiter: Waiter<ConcurrencyState, W>,
    /// What became of the wait for a permit, until the next call spends it.
    admission: Option<Result<Permit, W::Rejection>>,
    until: PhantomData<U>,
}

impl<S, U, W: WaitPolicy> Concurrency<S, U, W> {
    pub(super) fn new(inner: S, queue: Arc<Queue<ConcurrencyState>>, policy: W) -> Self {
        let group = queue.add_group();
        Self::waiting(inner, Waiter::new(queue, group, (), policy))
    }

    fn waiting(inner: S, waiter: Waiter<ConcurrencyState, W>) -> Self {
        Self {
            inner,
            waiter,
            admission: None,
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

impl<S, B, C, U, W> Service<Request<B>> for Concurrency<S, U, W>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    U: Until<C>,
    W: WaitPolicy,
{
    type Response = Response<U::Body>;
    type Error = W::Error<S::Error>;
    type Future = ResponseFuture<S::Future, U, W>;

    /// Is ready when a permit was taken and the inner service is ready. While the inner service is
    /// not, the permit is given back, and the place in the line is kept. Is ready, too, when a
    /// bounded wait was throttled: the call then fails with that, and the service is as good as
    /// before.
    ///
    /// # Panics
    ///
    /// Panics if the inner service asks the same limit for a permit: the same layer stands in the
    /// stack twice.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &self.admission {
            // Polled again before the call: the inner service may have failed since.
            Some(Ok(_)) => {
                let ready = self.waiter.poll_inner(cx, &mut self.inner);
                if !matches!(ready, Poll::Ready(Ok(()))) {
                    self.admission = None;
                }
                if ready.is_ready() {
                    return ready.map_err(W::inner);
                }
            }
            Some(Err(_)) => return Poll::Ready(Ok(())),
            None => {}
        }
        assert!(
            !self.waiter.is_new() || !nested::is_asking(self.waiter.queue()),
            "a stack holds the same concurrency limit twice: make a ConcurrencyLayer of its own for each place"
        );
        self.admission = match ready!(self.waiter.poll_acquire(cx, &mut self.inner)) {
            Ok(permit) => Some(Ok(permit)),
            // The service is as good as before: the call fails, not the service.
            Err(Unacquired::Rejected(rejection)) => Some(Err(rejection)),
            Err(Unacquired::Failed(error)) => return Poll::Ready(Err(W::inner(error))),
        };
        // The next call enqueues anew.
        self.waiter.leave();
        Poll::Ready(Ok(()))
    }

    /// Where waits are bounded, a request whose [`Deadline`](crate::Deadline) has passed is not
    /// sent: its call fails as a refused wait does, and the permit goes back.
    ///
    /// # Panics
    ///
    /// Panics if the service was not polled ready before, as every service may.
    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let admission = self
            .admission
            .take()
            .expect("poll_ready was called and the service is ready");
        let admission = admission.and_then(|permit| {
            let policy = self.waiter.policy().with_request(request.extensions());
            policy
                .check_deadline(LimitKind::Concurrency, Duration::ZERO)
                .map(|()| permit)
        });
        match admission {
            Ok(permit) => {
                let call = InFlight::new(permit);
                ResponseFuture::sent(self.inner.call(request), call)
            }
            Err(rejection) => ResponseFuture::refused(rejection),
        }
    }
}

impl<S: Clone, U, W: WaitPolicy> Clone for Concurrency<S, U, W> {
    /// By hand, since a clone must not hold the permit of its original.
    fn clone(&self) -> Self {
        Self::waiting(self.inner.clone(), self.waiter.clone())
    }
}

impl<S: fmt::Debug, U, W: WaitPolicy + fmt::Debug> fmt::Debug for Concurrency<S, U, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("inner", &self.inner)
            .field("waiter", &self.waiter)
            .field("is_ready", &self.admission.is_some())
            .finish_non_exhaustive()
    }
}
