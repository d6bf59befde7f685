use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::drain::{Drain, poll_drained};
use super::retrier::Retrier;
use crate::clock;
use crate::wait::POLLED_AFTER_ITS_END;

pin_project! {
    /// The response future of [`Retry`](super::Retry).
    ///
    /// It resolves to the result of the last attempt. Its drop cancels the current attempt, or the
    /// wait for the next one.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<B>>,
    {
        // `None` once it has completed: a future that lives on after that must hold nothing.
        #[pin]
        call: Option<Call<S, B, C>>,
    }
}

pin_project! {
    struct Call<S, B, C>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, C>,
        retrier: Retrier<S, B>,
        // That of the last attempt, if it ended without a response.
        last_error: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        // An attempt is in flight.
        InFlight { #[pin] response: F },
        // The backoff lasts until `wake`. If there is a body, it is read meanwhile, and `timer`
        // ends the reading first.
        Waiting { #[pin] body: Option<C>, left: usize, timer: Pin<Box<Sleep>>, wake: Instant },
        // The backoff is over, and the inner service is not known to be ready.
        Readying,
    }
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    /// Returns the future of a request whose first attempt is in flight.
    pub(super) fn new(response: S::Future, retrier: Retrier<S, B>) -> Self {
        let call = Call {
            state: State::InFlight { response },
            retrier,
            last_error: None,
        };
        Self { call: Some(call) }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B, C>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Error: 'static,
    B: Clone,
    C: Body,
{
    type Output = Result<S::Response, S::Error>;

    /// # Panics
    ///
    /// Panics if it has completed before, as any future may.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut call = self.project().call;
        loop {
            let current = call.as_mut().as_pin_mut();
            let mut this = current.expect(POLLED_AFTER_ITS_END).project();
            let next = match this.state.as_mut().project() {
                // InFlight => (Waiting | completed): completed with the result that is the last.
                StateProj::InFlight { response } => {
                    let mut result = ready!(response.poll(cx));
                    let wait = match this.retrier.next_backoff(&result) {
                        Ok(wait) => wait,
                        Err(reason) => {
                            if let Some(reason) = reason {
                                this.retrier.give_up(reason, &mut result);
                            }
                            this.retrier.mark(&mut result);
                            call.set(None);
                            return Poll::Ready(result);
                        }
                    };
                    let (body, error) = match result {
                        Ok(response) => (Some(response.into_body()), None),
                        Err(error) => (None, Some(error)),
                    };
                    *this.last_error = error;
                    State::waiting(body, wait, this.retrier.drain(wait))
                }
                // Waiting => Readying, when the backoff is over and the body is read or dropped.
                StateProj::Waiting {
                    body,
                    left,
                    timer,
                    wake,
                } => {
                    ready!(poll_wait(body, left, timer, *wake, cx));
                    State::Readying
                }
                // Readying => (InFlight | completed): completed if the inner service failed.
                StateProj::Readying => match ready!(this.retrier.poll_ready(cx)) {
                    Ok(()) => State::InFlight {
                        response: this.retrier.call(),
                    },
                    // The error of the last attempt, if it ended with one, says more about the
                    // request.
                    Err(error) => {
                        let error = this.last_error.take().unwrap_or(error);
                        call.set(None);
                        return Poll::Ready(Err(error));
                    }
                },
            };
            this.state.set(next);
        }
    }
}

impl<F, C: Body> State<F, C> {
    fn waiting(body: Option<C>, wait: Duration, drain: Drain) -> Self {
        let wake = clock::after(wait);
        let body = body.filter(|body| drain.is_useful(body));
        let first = match body {
            Some(_) => clock::after(drain.time),
            None => wake,
        };
        Self::Waiting {
            body,
            left: drain.bytes,
            // Boxed, since most calls never wait: a timer in place would make every future larger.
            timer: Box::pin(sleep_until(first)),
            wake,
        }
    }
}

/// Reads the rest of the body until the timer fires, and then waits until `wake`.
fn poll_wait<C: Body>(
    mut body: Pin<&mut Option<C>>,
    left: &mut usize,
    timer: &mut Pin<Box<Sleep>>,
    wake: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if let Some(rest) = body.as_mut().as_pin_mut() {
        if poll_drained(rest, left, cx).is_pending() {
            ready!(clock::poll_guard(timer.as_mut(), cx));
        }
        body.set(None);
        timer.as_mut().reset(wake);
    }
    timer.as_mut().poll(cx)
}

impl<S, B, C> fmt::Debug for ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
