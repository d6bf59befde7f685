use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pacing::{Lane, Ticket};
use tokio::time::{Instant, Sleep, sleep_until};

use super::queue::{Queue, Resource, Turn};

/// One request's way through a line. It allocates when it first has to wait, and its drop leaves the line.
pub(crate) struct Waiter<R: Resource> {
    queue: Arc<Queue<R>>,
    lane: Lane,
    place: Option<Place<R>>,
}

/// A place in the line, which is given up on drop.
struct Place<R: Resource> {
    queue: Arc<Queue<R>>,
    ticket: Ticket,
    /// Made in the runtime of the first wait, and only there.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<R: Resource> Waiter<R> {
    pub(crate) fn new(queue: Arc<Queue<R>>, lane: Lane) -> Self {
        Self {
            queue,
            lane,
            place: None,
        }
    }

    /// Resolves when it is this waiter's turn to claim. Nothing is taken yet.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.queue.turn(self.lane, self.ticket(), cx.waker()) {
                Turn::Come => return Poll::Ready(()),
                Turn::Wait(ticket, until) => ready!(self.place(ticket).poll_until(until, cx)),
            }
        }
    }

    /// Claims, if it still is this waiter's turn. The place in the line stays until [`leave`](Self::leave).
    pub(crate) fn claim(&self) -> Option<R::Claim> {
        self.queue.claim(self.ticket())
    }

    /// Keeps the place while the inner service, which holds the waker of `cx`, is not ready.
    pub(crate) fn wait_stuck(&mut self, cx: &Context<'_>) {
        let ticket = self.queue.wait_stuck(self.lane, self.ticket(), cx.waker());
        self.place(ticket);
    }

    /// Gives up the place in the line.
    pub(crate) fn leave(&mut self) {
        self.place = None;
    }

    pub(crate) fn queue(&self) -> &Arc<Queue<R>> {
        &self.queue
    }

    fn ticket(&self) -> Option<Ticket> {
        self.place.as_ref().map(|place| place.ticket)
    }

    fn place(&mut self, ticket: Ticket) -> &mut Place<R> {
        self.place.get_or_insert_with(|| Place {
            queue: Arc::clone(&self.queue),
            ticket,
            timer: None,
        })
    }
}

impl<R: Resource> Clone for Waiter<R> {
    /// A clone shares the line and has no place in it.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.queue), self.lane)
    }
}

impl<R: Resource> Place<R> {
    fn poll_until(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

impl<R: Resource> Drop for Place<R> {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
    }
}

impl<R: Resource> fmt::Debug for Waiter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("waiting", &self.place.is_some())
            .finish_non_exhaustive()
    }
}
