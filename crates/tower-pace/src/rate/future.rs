use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::flight::Flight;
use super::pace::Pace;
use crate::line::{POLLED_AFTER_ITS_END, Patience, Unbounded, Waited, Waiter};
use crate::was_sent;

pin_project! {
    /// The response of [`RateLimit`](super::RateLimit), after the request has had its turn.
    ///
    /// Nothing happens before the first poll. A drop gives back the place in the line or, after the
    /// request left, counts it as abandoned.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, W = Unbounded>
    where
        S: Service<Request<B>>,
        W: Patience,
    {
        #[pin]
        state: State<S, B, W>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, W>
    where
        S: Service<Request<B>>,
        W: Patience,
    {
        // Waiting for its turn, and then for the inner service => InFlight, or Ended
        Waiting { candidate: Candidate<S, W>, request: Option<Request<B>> },
        // Sent => Ended
        InFlight { #[pin] response: S::Future, flight: Flight, waited: Option<Waited> },
        // A future that has completed may live on: it must hold nothing, and send nothing if it is
        // polled
        Ended,
    }
}

impl<S, B, W> ResponseFuture<S, B, W>
where
    S: Service<Request<B>>,
    W: Patience,
{
    pub(super) fn new(
        inner: S,
        waiter: Waiter<Pace, W>,
        request: Request<B>,
        explain: bool,
    ) -> Self {
        Self {
            state: State::Waiting {
                candidate: Candidate {
                    inner,
                    asked: false,
                    explain,
                    waiter,
                },
                request: Some(request),
            },
        }
    }
}

impl<S, B, C, W> Future for ResponseFuture<S, B, W>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
    W: Patience,
{
    type Output = Result<S::Response, W::Error<S::Error>>;

    /// # Panics
    ///
    /// Panics if it has completed before, as any future may, and sends nothing.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { candidate, request } => {
                    // It was sent, and the inner service panicked: nothing may depart in its place.
                    assert!(request.is_some(), "{POLLED_AFTER_ITS_END}");
                    let flight = match ready!(candidate.poll_departure(cx)) {
                        Ok(flight) => flight,
                        Err(error) => {
                            state.set(State::Ended);
                            return Poll::Ready(Err(error));
                        }
                    };
                    let request = request.take().expect("it is there until it departs");
                    let waited = candidate.waited();
                    let response = candidate.inner.call(request);
                    state.set(State::InFlight {
                        response,
                        flight,
                        waited,
                    });
                }
                StateProj::InFlight {
                    response,
                    flight,
                    waited,
                } => {
                    let mut polled = response.poll(cx);
                    if let Poll::Ready(result) = &mut polled {
                        settle(flight, result);
                        explain(*waited, result);
                        state.set(State::Ended);
                    }
                    return polled.map_err(W::failed);
                }
                StateProj::Ended => panic!("{POLLED_AFTER_ITS_END}"),
            }
        }
    }
}

/// A request's inner service and its way to the turn.
struct Candidate<S, W: Patience> {
    inner: S,
    /// Whether the inner service was asked for readiness, for which it may have reserved something.
    asked: bool,
    /// Whether the response says how long the request waited even if it did not.
    explain: bool,
    waiter: Waiter<Pace, W>,
}

impl<S, W: Patience> Candidate<S, W> {
    /// Waits for the turn, then for the inner service, and departs if it still is the turn;
    /// otherwise starts again.
    fn poll_departure<B>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Flight, W::Error<S::Error>>>
    where
        S: Service<Request<B>> + Clone,
    {
        if let Some(departed) = self.depart_at_once(cx) {
            return Poll::Ready(departed);
        }
        loop {
            match self.waiter.poll_turn(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(refusal)) => return Poll::Ready(Err(W::refused(refusal))),
                Poll::Pending => {
                    self.give_back();
                    return Poll::Pending;
                }
            }
            ready!(self.poll_inner(cx))?;
            if let Some(flight) = self.waiter.claim(Flight::new) {
                return Poll::Ready(Ok(flight));
            }
            self.give_back();
        }
    }

    /// Departs without asking for the turn before, if nobody waits, the departure is due and the
    /// inner service is ready.
    fn depart_at_once<B>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<Result<Flight, W::Error<S::Error>>>
    where
        S: Service<Request<B>> + Clone,
    {
        let queue = self.waiter.newcomers_queue()?;
        if queue.front().has_line() {
            return None;
        }
        self.asked = true;
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Some(Err(W::failed(error))),
            Poll::Pending => return None,
        }
        let flight = self.waiter.claim(Flight::new);
        if flight.is_none() {
            self.give_back();
        }
        flight.map(Ok)
    }

    fn poll_inner<B>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), W::Error<S::Error>>>
    where
        S: Service<Request<B>> + Clone,
    {
        self.asked = true;
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(W::failed(error))),
            Poll::Pending => match self.waiter.wait_stuck(cx) {
                Ok(()) => Poll::Pending,
                Err(refusal) => Poll::Ready(Err(W::refused(refusal))),
            },
        }
    }

    fn waited(&self) -> Option<Waited> {
        self.waiter
            .waited()
            .or_else(|| self.explain.then(Waited::default))
    }

    /// Lets go of what readiness reserved: nothing is held while the turn is waited for. A clone
    /// has reserved nothing.
    fn give_back(&mut self)
    where
        S: Clone,
    {
        if mem::take(&mut self.asked) {
            self.inner = self.inner.clone();
        }
    }
}

fn settle<C, E: 'static>(flight: &mut Flight, result: &Result<Response<C>, E>) {
    match result {
        Ok(response) => flight.answer(response.status(), response.headers()),
        Err(error) if was_sent(error) => flight.abandon(),
        Err(_) => flight.refund(),
    }
}

fn explain<C, E>(waited: Option<Waited>, result: &mut Result<Response<C>, E>) {
    if let (Some(waited), Ok(response)) = (waited, result) {
        response.extensions_mut().insert(waited);
    }
}

impl<S, B, W> fmt::Debug for ResponseFuture<S, B, W>
where
    S: Service<Request<B>>,
    W: Patience,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
