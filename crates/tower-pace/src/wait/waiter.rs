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

use super::queue::{Caller, Enqueued, Front, Queue, Resource, Step};
use super::waited::WaitTimes;
use super::{WaitPolicy, Waited};

/// The message of the panic when a future of a layer is polled after it has completed.
pub(crate) const POLLED_AFTER_ITS_END: &str = "a future is not polled after its end";

/// One caller and its way through a queue. It allocates when it first has to wait, and its drop
/// leaves the queue.
pub(crate) struct Waiter<R: Resource, W> {
    queue: Arc<Queue<R>>,
    caller: Caller<R::Demand, W>,
    state: Option<Pin<Box<WaitState>>>,
    /// Whether the inner service was polled first and may have reserved something, which is to be
    /// reset.
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
    /// The state of a caller that has to wait.
    struct WaitState {
        enqueued: Enqueued,
        // Whether the position is in the queue: it is not after the waiter has acquired.
        is_enqueued: bool,
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
            state: None,
            has_polled_inner: false,
        }
    }

    /// Waits for the resource and the inner service, and acquires when both are there.
    ///
    /// The waiter keeps its position while the inner service is not ready. No acquisition is held
    /// across `Pending`. Where the inner service is polled first, `reset` replaces it when the
    /// waiter has to wait for the resource: it must drop whatever readiness has reserved.
    ///
    /// After an acquisition the waiter has no position, and its [`waited`](Self::waited) stays
    /// until [`leave`](Self::leave). A failure leaves the queue.
    #[inline]
    pub(crate) fn poll_acquire<S, Q>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        reset: fn(&mut S),
    ) -> PollAcquired<R::Acquired, W::Rejection, S::Error>
    where
        S: Service<Q>,
    {
        let mut is_ready = false;
        // New => Acquired, if the queue is empty and the demand is due: one lock, no position and
        // no waker.
        if self.state.is_none() && self.queue.front().may_admit() {
            if !R::ACQUIRES_FIRST {
                match self.poll_inner(cx, inner) {
                    Poll::Ready(Ok(())) => is_ready = true,
                    Poll::Ready(Err(error)) => return self.fail(Unacquired::Failed(error)),
                    Poll::Pending => {}
                }
            }
            if (is_ready || R::ACQUIRES_FIRST)
                && let Some(acquired) = self.queue.try_acquire(&self.caller)
            {
                return self.poll_with(acquired, cx, inner);
            }
        }
        self.poll_queued(cx, inner, reset, is_ready)
    }

    fn poll_queued<S, Q>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        reset: fn(&mut S),
        mut is_ready: bool,
    ) -> PollAcquired<R::Acquired, W::Rejection, S::Error>
    where
        S: Service<Q>,
    {
        loop {
            let mut state = self.state.as_mut().map(|state| state.as_mut().project());
            let enqueued = state.as_mut().map(|state| &mut *state.enqueued);
            let may_acquire = is_ready || R::ACQUIRES_FIRST;
            let step = self
                .queue
                .step(&self.caller, enqueued, may_acquire, cx.waker());
            match step {
                // Due => Acquired.
                Ok(Step::Acquired(acquired)) => {
                    if let Some(state) = state {
                        *state.is_enqueued = false;
                    }
                    return self.poll_with(acquired, cx, inner);
                }
                // Waiting => Due: the inner service is polled before the next step.
                Ok(Step::Due(now)) => {
                    if let Some(state) = state {
                        state.times.record(None, now);
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
                    if mem::take(&mut self.has_polled_inner) {
                        reset(inner);
                    }
                    let mut state = self.record(wait.enqueued);
                    let times = state.as_mut().project().times;
                    times.record(Some(wait.cause), wait.now);
                    ready!(state.poll_until(wait.until, cx));
                }
                Err(rejection) => return self.fail(Unacquired::Rejected(rejection)),
            }
        }
    }

    /// Returns an acquisition, if the inner service is ready too.
    #[inline]
    fn poll_with<S, Q>(
        &mut self,
        acquired: R::Acquired,
        cx: &mut Context<'_>,
        inner: &mut S,
    ) -> PollAcquired<R::Acquired, W::Rejection, S::Error>
    where
        S: Service<Q>,
    {
        if R::ACQUIRES_FIRST {
            match self.poll_inner(cx, inner) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.fail(Unacquired::Failed(error)),
                // Acquired => Stuck. The inner service stays as it is, with its own position in a
                // queue below: reset, it could lose that each time to callers that keep theirs. The
                // acquisition is released after the position is kept.
                Poll::Pending => return self.poll_stuck(cx),
            }
        }
        if !R::ACQUIRES_FIRST {
            self.has_polled_inner = false;
        }
        Poll::Ready(Ok(acquired))
    }

    /// Keeps the position while the inner service, which has the waker of `cx`, is not ready.
    fn poll_stuck<T, E>(&mut self, cx: &mut Context<'_>) -> PollAcquired<T, W::Rejection, E> {
        loop {
            let kept = self
                .queue
                .wait_stuck(&self.caller, self.enqueued(), cx.waker());
            let (enqueued, until) = match kept {
                Ok(kept) => kept,
                Err(rejection) => return self.fail(Unacquired::Rejected(rejection)),
            };
            let state = self.record(enqueued);
            if until.is_none_or(|until| state.poll_until(until, cx).is_pending()) {
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
        if !R::ACQUIRES_FIRST {
            self.has_polled_inner = true;
        }
        R::poll_inner(&self.queue, || inner.poll_ready(cx))
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
        self.state.is_none()
    }

    /// Returns the times that it has waited, if it had to wait.
    pub(crate) fn waited(&self) -> Option<Waited> {
        self.state.as_ref().map(|state| state.times.waited())
    }

    /// Records the position that the queue returned.
    fn record(&mut self, enqueued: Enqueued) -> Pin<&mut WaitState> {
        let state = self.state.get_or_insert_with(|| {
            Box::pin(WaitState {
                enqueued,
                is_enqueued: true,
                times: WaitTimes::new(enqueued.since),
                timer: None,
            })
        });
        let known = state.as_mut().project();
        (*known.enqueued, *known.is_enqueued) = (enqueued, true);
        state.as_mut()
    }
}

impl<R: Resource, W> Waiter<R, W> {
    fn enqueued(&self) -> Option<Enqueued> {
        self.state.as_ref().map(|state| state.enqueued)
    }

    /// Leaves the queue, if it has a position.
    #[inline]
    pub(crate) fn leave(&mut self) {
        if let Some(state) = self.state.take().filter(|state| state.is_enqueued) {
            self.queue.leave(state.enqueued.position);
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

impl WaitState {
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
            .field("waiting", &self.state.is_some())
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
            size_of::<WaitState>() + 2 * entry <= 288,
            "{}",
            size_of::<WaitState>()
        );
    }
}
