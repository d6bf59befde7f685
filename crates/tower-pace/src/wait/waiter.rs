use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pacing::Group;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::queue::{Caller, Front, Queue, Resource, Standing, Step};
use super::waited::WaitTimes;
use super::{WaitPolicy, Waited};

/// The message of the panic when a future of a layer is polled after it has completed.
pub(crate) const POLLED_AFTER_ITS_END: &str = "a future is not polled after its end";

/// One caller and its way through a queue. It allocates when it first has to wait, and its drop
/// leaves the queue.
pub(crate) struct Waiter<R: Resource, W> {
    queue: Arc<Queue<R>>,
    caller: Caller<R::Demand, W>,
    place: Option<Pin<Box<Place>>>,
    /// Whether the inner service was polled for readiness, for which it may have reserved
    /// something.
    has_polled_inner: bool,
}

/// The reason why a caller has acquired nothing.
#[derive(Debug)]
pub(crate) enum Unacquired<R, E> {
    /// Its bounded wait ended.
    Rejected(R),
    /// Its inner service failed when it was polled for readiness.
    Failed(E),
}

type PollAcquired<T, R, E> = Poll<Result<T, Unacquired<R, E>>>;

pin_project! {
    /// A position in the queue.
    struct Place {
        standing: Standing,
        // Whether the queue knows of it: not any more once the waiter has acquired.
        is_taken: bool,
        times: WaitTimes,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<R: Resource, W: WaitPolicy> Waiter<R, W> {
    pub(crate) fn new(queue: Arc<Queue<R>>, group: Group, demand: R::Demand, policy: W) -> Self {
        Self {
            queue,
            caller: Caller {
                group,
                demand,
                policy,
            },
            place: None,
            has_polled_inner: false,
        }
    }

    /// Waits for the resource and the inner service, and acquires when both are there.
    ///
    /// The waiter keeps its position while the inner service is not ready. Nothing is held across
    /// `Pending`: what the inner service has reserved for its readiness is dropped, by a clone in
    /// its place, when the waiter has to wait for the resource. After an acquisition the waiter has
    /// no position, and its [`waited`](Self::waited) stays until [`leave`](Self::leave).
    ///
    /// A failure leaves the queue.
    #[inline]
    pub(crate) fn poll_acquire<S, Q>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
    ) -> PollAcquired<R::Acquired, W::Rejection, S::Error>
    where
        S: Service<Q> + Clone,
    {
        let mut is_ready = false;
        // New => Acquired, if the queue is empty and the demand is due: one lock, no position and
        // no waker.
        if self.place.is_none() && self.queue.front().may_admit() {
            match self.poll_inner(cx, inner) {
                Poll::Ready(Ok(())) => is_ready = true,
                Poll::Ready(Err(error)) => return self.fail(Unacquired::Failed(error)),
                Poll::Pending => {}
            }
            if is_ready && let Some(acquired) = self.queue.try_acquire(&self.caller) {
                self.has_polled_inner = false;
                return Poll::Ready(Ok(acquired));
            }
        }
        self.poll_queued(cx, inner, is_ready)
    }

    fn poll_queued<S, Q>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        mut is_ready: bool,
    ) -> PollAcquired<R::Acquired, W::Rejection, S::Error>
    where
        S: Service<Q> + Clone,
    {
        loop {
            let mut place = self.place.as_mut().map(|place| place.as_mut().project());
            let position = place.as_mut().map(|place| &mut *place.standing);
            let step = self
                .queue
                .step(&self.caller, position, is_ready, cx.waker());
            match step {
                // Due and ready => Acquired.
                Ok(Step::Acquired(acquired)) => {
                    if let Some(place) = place {
                        *place.is_taken = false;
                    }
                    self.has_polled_inner = false;
                    return Poll::Ready(Ok(acquired));
                }
                // Waiting => Due: the inner service is polled before the next step.
                Ok(Step::Due(now)) => {
                    if let Some(place) = place {
                        place.times.record(None, now);
                    }
                    match self.poll_inner(cx, inner) {
                        Poll::Ready(Ok(())) => is_ready = true,
                        Poll::Ready(Err(error)) => return self.fail(Unacquired::Failed(error)),
                        Poll::Pending => return self.poll_stuck(cx),
                    }
                }
                // (New | Due) => Waiting, until the timer fires or the waiter is woken.
                Ok(Step::Wait(wait)) => {
                    is_ready = false;
                    self.reset(inner);
                    let mut place = self.take(wait.standing);
                    let times = place.as_mut().project().times;
                    times.record(Some(wait.cause), wait.now);
                    ready!(place.poll_until(wait.until, cx));
                }
                Err(rejection) => return self.fail(Unacquired::Rejected(rejection)),
            }
        }
    }

    /// Keeps the position while the inner service, which has the waker of `cx`, is not ready.
    fn poll_stuck<T, E>(&mut self, cx: &mut Context<'_>) -> PollAcquired<T, W::Rejection, E> {
        loop {
            let kept = self
                .queue
                .wait_stuck(&self.caller, self.standing(), cx.waker());
            let (standing, until) = match kept {
                Ok(kept) => kept,
                Err(rejection) => return self.fail(Unacquired::Rejected(rejection)),
            };
            let place = self.take(standing);
            if until.is_none_or(|until| place.poll_until(until, cx).is_pending()) {
                return Poll::Pending;
            }
        }
    }

    /// Polls the inner service for readiness.
    #[inline]
    pub(crate) fn poll_inner<S, Q>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
    ) -> Poll<Result<(), S::Error>>
    where
        S: Service<Q>,
    {
        self.has_polled_inner = true;
        R::poll_inner(&self.queue, || inner.poll_ready(cx))
    }

    /// Drops what the readiness of the inner service reserved. A clone has reserved nothing.
    fn reset<S: Clone>(&mut self, inner: &mut S) {
        if mem::take(&mut self.has_polled_inner) {
            *inner = inner.clone();
        }
    }

    fn fail<T, E>(
        &mut self,
        failure: Unacquired<W::Rejection, E>,
    ) -> PollAcquired<T, W::Rejection, E> {
        self.leave();
        Poll::Ready(Err(failure))
    }

    pub(crate) fn queue(&self) -> &Arc<Queue<R>> {
        &self.queue
    }

    /// Returns the bounds of the wait.
    pub(crate) fn policy(&self) -> &W {
        &self.caller.policy
    }

    /// Returns whether the caller has no position.
    pub(crate) fn is_new(&self) -> bool {
        self.place.is_none()
    }

    /// Returns how long it has waited, if it ever had to.
    pub(crate) fn waited(&self) -> Option<Waited> {
        self.place.as_ref().map(|place| place.times.waited())
    }

    fn take(&mut self, standing: Standing) -> Pin<&mut Place> {
        let place = self.place.get_or_insert_with(|| {
            Box::pin(Place {
                standing,
                is_taken: true,
                times: WaitTimes::new(standing.since),
                timer: None,
            })
        });
        let known = place.as_mut().project();
        (*known.standing, *known.is_taken) = (standing, true);
        place.as_mut()
    }
}

impl<R: Resource, W> Waiter<R, W> {
    fn standing(&self) -> Option<Standing> {
        self.place.as_ref().map(|place| place.standing)
    }

    /// Gives up the position, if there is one.
    #[inline]
    pub(crate) fn leave(&mut self) {
        if let Some(place) = self.place.take().filter(|place| place.is_taken) {
            self.queue.leave(place.standing.ticket);
        }
    }
}

impl<R: Resource, W: WaitPolicy> Clone for Waiter<R, W> {
    /// A clone shares the queue and has no position in it.
    fn clone(&self) -> Self {
        let Caller {
            group,
            demand,
            policy,
        } = self.caller.clone();
        Self::new(Arc::clone(&self.queue), group, demand, policy)
    }
}

impl<R: Resource, W> Drop for Waiter<R, W> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl Place {
    fn poll_until(self: Pin<&mut Self>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.project().timer;
        // Made anew where it stands: a reset would leave it in the runtime of the last wait, which
        // may be gone.
        timer.set(Some(sleep_until(until)));
        timer
            .as_pin_mut()
            .map_or(Poll::Ready(()), |timer| timer.poll(cx))
    }
}

impl<R: Resource, W: fmt::Debug> fmt::Debug for Waiter<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("policy", &self.caller.policy)
            .field("waiting", &self.place.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use pacing::Moment;

    use super::*;

    /// An entry of the queue's tree takes up to as much memory again.
    #[test]
    fn a_waiter_takes_at_most_288_bytes_of_the_heap() {
        let entry = size_of::<(u64, Option<Waker>, Moment, u8)>();
        assert!(
            size_of::<Place>() + 2 * entry <= 288,
            "{}",
            size_of::<Place>()
        );
    }
}
