use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pacing::Group;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::queue::Queue;
use super::state::Resource;
use super::turn::{Caller, Standing, Turn};
use super::waited::Ledger;
use super::{Patience, Waited};

/// What a future of a layer panics with if it is polled when it has completed.
pub(crate) const POLLED_AFTER_ITS_END: &str = "a future is not polled after its end";

/// One request's way through a line. It allocates when it first has to wait, and its drop leaves
/// the line.
pub(crate) struct Waiter<R: Resource, W> {
    queue: Arc<Queue<R>>,
    caller: Caller<R::Demand, W>,
    place: Option<Pin<Box<Place>>>,
}

pin_project! {
    /// A place in the line.
    struct Place {
        standing: Standing,
        // Whether the line knows of it: one who was served stands there no more.
        is_taken: bool,
        ledger: Ledger,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<R: Resource, W: Patience> Waiter<R, W> {
    pub(crate) fn new(queue: Arc<Queue<R>>, lane: Group, demand: R::Demand, patience: W) -> Self {
        Self {
            queue,
            caller: Caller {
                lane,
                demand,
                patience,
            },
            place: None,
        }
    }

    /// Resolves when it is this waiter's turn to claim; nothing is taken yet. Fails, out of the
    /// line, when it may wait no longer.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), W::Refusal>> {
        loop {
            match self.queue.turn(&self.caller, self.standing(), cx.waker()) {
                Ok(Turn::Come(now)) => {
                    if let Some(place) = &mut self.place {
                        place.as_mut().project().ledger.note(None, now);
                    }
                    return Poll::Ready(Ok(()));
                }
                Ok(Turn::Wait(wait)) => {
                    let mut place = self.take(wait.standing);
                    let ledger = place.as_mut().project().ledger;
                    ledger.note(Some(wait.cause), wait.now);
                    ready!(place.poll_until(wait.until, cx));
                }
                Err(refusal) => return Poll::Ready(Err(self.refused(refusal))),
            }
        }
    }

    pub(crate) fn queue(&self) -> &Arc<Queue<R>> {
        &self.queue
    }

    /// Returns the bounds of the wait.
    pub(crate) fn patience(&self) -> &W {
        &self.caller.patience
    }

    /// Returns the queue to one who has just come, and has no place to keep.
    pub(crate) fn newcomers_queue(&self) -> Option<&Arc<Queue<R>>> {
        self.place.is_none().then_some(&self.queue)
    }

    /// Claims, if it still is this waiter's turn, and wraps the claim with `guard`. The place can
    /// be taken again until [`leave`](Self::leave).
    pub(crate) fn claim<G>(
        &mut self,
        guard: impl FnOnce(Arc<Queue<R>>, R::Claim) -> G,
    ) -> Option<G> {
        let guard = |claim| guard(Arc::clone(&self.queue), claim);
        let mut place = self.place.as_mut().map(|place| place.as_mut().project());
        let standing = place.as_mut().map(|place| &mut *place.standing);
        let claim = self.queue.claim(&self.caller, standing, guard)?;
        if let Some(place) = place {
            *place.is_taken = false;
        }
        Some(claim)
    }

    /// Keeps the place while the inner service, which holds the waker of `cx`, is not ready. Fails,
    /// out of the line, when it may wait no longer.
    pub(crate) fn wait_stuck(&mut self, cx: &mut Context<'_>) -> Result<(), W::Refusal> {
        loop {
            let kept = self
                .queue
                .wait_stuck(&self.caller, self.standing(), cx.waker());
            let (standing, until) = kept.map_err(|refusal| self.refused(refusal))?;
            let place = self.take(standing);
            if until.is_none_or(|until| place.poll_until(until, cx).is_pending()) {
                return Ok(());
            }
        }
    }

    /// Returns how long it has waited, if it ever had to.
    pub(crate) fn waited(&self) -> Option<Waited> {
        self.place.as_ref().map(|place| place.ledger.waited())
    }

    /// Gives up the place in the line.
    pub(crate) fn leave(&mut self) {
        self.give_up();
    }

    fn take(&mut self, standing: Standing) -> Pin<&mut Place> {
        let place = self.place.get_or_insert_with(|| {
            Box::pin(Place {
                standing,
                is_taken: true,
                ledger: Ledger::new(standing.since),
                timer: None,
            })
        });
        let known = place.as_mut().project();
        (*known.standing, *known.is_taken) = (standing, true);
        place.as_mut()
    }

    fn refused(&mut self, refusal: W::Refusal) -> W::Refusal {
        self.leave();
        refusal
    }
}

impl<R: Resource, W> Waiter<R, W> {
    fn standing(&self) -> Option<Standing> {
        self.place.as_ref().map(|place| place.standing)
    }

    fn give_up(&mut self) {
        if let Some(place) = self.place.take().filter(|place| place.is_taken) {
            self.queue.leave(place.standing.ticket);
        }
    }
}

impl<R: Resource, W: Patience> Clone for Waiter<R, W> {
    /// A clone shares the line and has no place in it.
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            caller: self.caller.clone(),
            place: None,
        }
    }
}

impl<R: Resource, W> Drop for Waiter<R, W> {
    fn drop(&mut self) {
        self.give_up();
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
            .field("patience", &self.caller.patience)
            .field("waiting", &self.place.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use pacing::Moment;

    use super::*;

    /// In the line's tree an entry has up to as much room again.
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
