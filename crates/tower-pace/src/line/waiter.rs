use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Extensions;
use pacing::Lane;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Patience;
use super::queue::{Queue, Resource, Standing, Turn};

/// One request's way through a line. It allocates when it first has to wait, and its drop leaves the line.
pub(crate) struct Waiter<R: Resource, W> {
    queue: Arc<Queue<R>>,
    lane: Lane,
    patience: W,
    place: Option<Place<R>>,
}

/// A place in the line, which is given up on drop.
struct Place<R: Resource> {
    queue: Arc<Queue<R>>,
    standing: Standing,
    /// Whether the line knows of it: one who was served stands there no more.
    is_taken: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<R: Resource, W: Patience> Waiter<R, W> {
    pub(crate) fn new(queue: Arc<Queue<R>>, lane: Lane, patience: W) -> Self {
        Self {
            queue,
            lane,
            patience,
            place: None,
        }
    }

    /// Returns a waiter without a place, for a request with these extensions.
    pub(crate) fn for_request(&self, extensions: &Extensions) -> Self {
        let patience = self.patience.heed(extensions);
        Self::new(Arc::clone(&self.queue), self.lane, patience)
    }

    /// Resolves when it is this waiter's turn to claim; nothing is taken yet. Fails, out of the line, when it may wait
    /// no longer.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), W::Refusal>> {
        loop {
            let turn = self
                .queue
                .turn(self.lane, self.standing(), &self.patience, cx.waker());
            match turn {
                Ok(Turn::Come) => return Poll::Ready(Ok(())),
                Ok(Turn::Wait(standing, until)) => {
                    ready!(self.take(standing).poll_until(until, cx))
                }
                Err(refusal) => return Poll::Ready(Err(self.refused(refusal))),
            }
        }
    }

    /// Claims, if it still is this waiter's turn, and wraps the claim with `guard`. The place can be taken again until
    /// [`leave`](Self::leave).
    pub(crate) fn claim<G>(
        &mut self,
        guard: impl FnOnce(Arc<Queue<R>>, R::Claim) -> G,
    ) -> Option<G> {
        let guard = |claim| guard(Arc::clone(&self.queue), claim);
        let claim = self.queue.claim(self.lane, self.standing(), guard)?;
        if let Some(place) = &mut self.place {
            place.is_taken = false;
        }
        Some(claim)
    }

    /// Keeps the place while the inner service, which holds the waker of `cx`, is not ready. Fails, out of the line,
    /// when it may wait no longer.
    pub(crate) fn wait_stuck(&mut self, cx: &mut Context<'_>) -> Result<(), W::Refusal> {
        loop {
            let kept =
                self.queue
                    .wait_stuck(self.lane, self.standing(), &self.patience, cx.waker());
            let (standing, until) = kept.map_err(|refusal| self.refused(refusal))?;
            let place = self.take(standing);
            if until.is_none_or(|until| place.poll_until(until, cx).is_pending()) {
                return Ok(());
            }
        }
    }

    /// Gives up the place in the line.
    pub(crate) fn leave(&mut self) {
        self.place = None;
    }

    fn standing(&self) -> Option<Standing> {
        self.place.as_ref().map(|place| place.standing)
    }

    fn take(&mut self, standing: Standing) -> &mut Place<R> {
        let place = self.place.get_or_insert_with(|| Place {
            queue: Arc::clone(&self.queue),
            standing,
            is_taken: true,
            timer: None,
        });
        place.is_taken = true;
        place
    }

    fn refused(&mut self, refusal: W::Refusal) -> W::Refusal {
        self.leave();
        refusal
    }
}

impl<R: Resource, W: Patience> Clone for Waiter<R, W> {
    /// A clone shares the line and has no place in it.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.queue), self.lane, self.patience.clone())
    }
}

impl<R: Resource> Place<R> {
    fn poll_until(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            // Made anew where it stands: a reset would leave it in the runtime of the last wait, which may be gone.
            Some(timer) => {
                timer.as_mut().set(sleep_until(until));
                timer
            }
            none => none.insert(Box::pin(sleep_until(until))),
        };
        timer.as_mut().poll(cx)
    }
}

impl<R: Resource> Drop for Place<R> {
    fn drop(&mut self) {
        if self.is_taken {
            self.queue.leave(self.standing.ticket);
        }
    }
}

impl<R: Resource, W: fmt::Debug> fmt::Debug for Waiter<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("patience", &self.patience)
            .field("waiting", &self.place.is_some())
            .finish_non_exhaustive()
    }
}
