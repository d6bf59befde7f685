use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use tower_service::Service;

use super::asking::{self, Asking};
use super::call::Call;
use super::permit::Permit;
use super::permits::Permits;
use super::{BodyEnd, ResponseFuture, Until};
use crate::line::{Patience, Queue, Unbounded, Waiter};

/// Bounds how many requests are in flight, to the end of the response's body; see the
/// [module](super).
///
/// Clones share the bound, but never a permit or a place in the line. The inner service's error is
/// passed on as it is: this service has none of its own, unless its waits are bounded; then it
/// fails with [`Bounded`](crate::Bounded).
pub struct Concurrency<S, U = BodyEnd, W: Patience = Unbounded> {
    inner: S,
    waiter: Waiter<Permits, W>,
    /// What became of the wait for a permit, until the next call spends it.
    admission: Option<Result<Permit, W::Refusal>>,
    until: PhantomData<U>,
}

impl<S, U, W: Patience> Concurrency<S, U, W> {
    pub(super) fn new(inner: S, queue: Arc<Queue<Permits>>, patience: W) -> Self {
        let lane = queue.add_group();
        Self::waiting(inner, Waiter::new(queue, lane, (), patience))
    }

    fn waiting(inner: S, waiter: Waiter<Permits, W>) -> Self {
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

    /// Resolves when a permit was taken, or refused. A permit that is there is taken without a
    /// question before.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.admission.is_none()
            && let Some(queue) = self.waiter.newcomers_queue()
        {
            assert!(
                !asking::is_asking(queue),
                "a stack holds the same concurrency limit twice: make a ConcurrencyLayer of its own for each place"
            );
            self.admission = Permit::at_once(queue).map(Ok);
        }
        while self.admission.is_none() {
            self.admission = match self.waiter.claim(Permit::claimed) {
                Some(permit) => Some(Ok(permit)),
                None => ready!(self.waiter.poll_turn(cx)).err().map(Err),
            };
        }
        Poll::Ready(())
    }

    /// Gives the permit back, but not the place, while the inner service is not ready.
    fn poll_stuck<E>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        match self.waiter.wait_stuck(cx) {
            Ok(()) => {
                self.admission = None;
                Poll::Pending
            }
            Err(refusal) => {
                self.admission = Some(Err(refusal));
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S, B, C, U, W> Service<Request<B>> for Concurrency<S, U, W>
where
    S: Service<Request<B>, Response = Response<C>>,
    U: Until<C>,
    W: Patience,
{
    type Response = Response<U::Body>;
    type Error = W::Error<S::Error>;
    type Future = ResponseFuture<S::Future, U, W>;

    /// Is ready when a permit was taken and the inner service is ready. While the inner service is
    /// not, the permit is given back, and the place in the line is kept. Is ready, too, when a
    /// bounded wait was refused: the call then fails with that, and the service is as good as
    /// before.
    ///
    /// # Panics
    ///
    /// Panics if the inner service asks the same limit for a permit: the same layer stands in the
    /// stack twice.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_admission(cx));
        if let Some(Err(_)) = self.admission {
            return Poll::Ready(Ok(()));
        }
        let asking = Asking::begin(self.waiter.queue());
        let ready = self.inner.poll_ready(cx);
        drop(asking);
        match ready {
            Poll::Ready(Ok(())) => self.waiter.leave(),
            Poll::Ready(Err(_)) => {
                self.admission = None;
                self.waiter.leave();
            }
            Poll::Pending => return self.poll_stuck(cx),
        }
        ready.map_err(W::failed)
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
            let patience = self.waiter.patience().heed(request.extensions());
            patience.starts(Duration::ZERO).map(|()| permit)
        });
        match admission {
            Ok(permit) => {
                let call = Call::new(permit);
                ResponseFuture::sent(self.inner.call(request), call)
            }
            Err(refusal) => ResponseFuture::refused(refusal),
        }
    }
}

impl<S: Clone, U, W: Patience> Clone for Concurrency<S, U, W> {
    /// By hand, since a clone must not hold the permit of its original.
    fn clone(&self) -> Self {
        Self::waiting(self.inner.clone(), self.waiter.clone())
    }
}

impl<S: fmt::Debug, U, W: Patience + fmt::Debug> fmt::Debug for Concurrency<S, U, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("inner", &self.inner)
            .field("waiter", &self.waiter)
            .field("is_ready", &self.admission.is_some())
            .finish_non_exhaustive()
    }
}
