use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pacing::Pacer;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::pacer::Flight;
use crate::line::Waiter;
use crate::was_sent;

pin_project! {
    /// The response of [`RateLimit`](super::RateLimit), after the request has had its turn.
    ///
    /// Nothing happens before the first poll. A drop gives back the place in the line or, after the request left, counts
    /// it as abandoned.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        // Waiting for its turn, and then for the inner service => InFlight
        Waiting { inner: S, request: Option<Request<B>>, waiter: Waiter<Pacer> },
        // Sent => the end
        InFlight { #[pin] response: S::Future, flight: Flight },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(inner: S, request: Request<B>, waiter: Waiter<Pacer>) -> Self {
        Self {
            state: State::Waiting {
                inner,
                request: Some(request),
                waiter,
            },
        }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting {
                    inner,
                    request,
                    waiter,
                } => {
                    let flight = ready!(poll_departure(inner, waiter, cx))?;
                    let request = request.take().expect("a request departs once");
                    let response = inner.call(request);
                    state.set(State::InFlight { response, flight });
                }
                StateProj::InFlight { response, flight } => {
                    let result = ready!(response.poll(cx));
                    settle(flight, &result);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// Waits for the turn, then for the inner service, and departs if it still is the turn. Otherwise the inner service is
/// replaced by a clone, so that what its readiness reserved is free for others, and the waiting starts again.
fn poll_departure<S, B>(
    inner: &mut S,
    waiter: &mut Waiter<Pacer>,
    cx: &mut Context<'_>,
) -> Poll<Result<Flight, S::Error>>
where
    S: Service<Request<B>> + Clone,
{
    loop {
        ready!(waiter.poll_turn(cx));
        match inner.poll_ready(cx) {
            Poll::Ready(ready) => ready?,
            Poll::Pending => {
                waiter.wait_stuck(cx);
                return Poll::Pending;
            }
        }
        if let Some(departure) = waiter.claim() {
            return Poll::Ready(Ok(Flight::new(waiter.queue().clone(), departure)));
        }
        *inner = inner.clone();
    }
}

fn settle<C, E: 'static>(flight: &mut Flight, result: &Result<Response<C>, E>) {
    match result {
        Ok(response) => flight.answer(response.status(), response.headers()),
        Err(error) if was_sent(error) => flight.abandon(),
        Err(_) => flight.refund(),
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
