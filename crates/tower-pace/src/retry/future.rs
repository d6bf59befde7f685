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
use super::retries::Retries;
use crate::clock;
use crate::line::POLLED_AFTER_ITS_END;

pin_project! {
    /// The response of [`Retry`](super::Retry): that of the last attempt. A drop ends the current attempt and the waiting.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<B>>,
    {
        // Taken when it has ended: a future that has completed may live on and must hold nothing.
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
        retries: Retries<S, B>,
        last_error: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        // An attempt is on its way => Pausing, or the end
        InFlight { #[pin] response: F },
        // Until the rest of an answer that is not returned is read, and then until it is time => Readying
        Pausing { #[pin] body: Option<C>, left: usize, timer: Pin<Box<Sleep>>, wake: Instant },
        // Until the inner service is ready for the next attempt => InFlight, or the end
        Readying,
    }
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    /// Follows the first attempt.
    pub(super) fn new(response: S::Future, retries: Retries<S, B>) -> Self {
        let call = Call {
            state: State::InFlight { response },
            retries,
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut call = self.project().call;
        loop {
            let current = call.as_mut().as_pin_mut();
            let mut this = current.expect(POLLED_AFTER_ITS_END).project();
            let next = match this.state.as_mut().project() {
                // InFlight => Pausing | Ended
                StateProj::InFlight { response } => {
                    let mut result = ready!(response.poll(cx));
                    let Some(wait) = this.retries.decide(&result) else {
                        this.retries.report(&mut result);
                        call.set(None);
                        return Poll::Ready(result);
                    };
                    let (answer, error) = split(result);
                    *this.last_error = error;
                    State::pausing(
                        answer.map(Response::into_body),
                        wait,
                        this.retries.drain(wait),
                    )
                }
                // Pausing => Readying
                StateProj::Pausing {
                    body,
                    left,
                    timer,
                    wake,
                } => {
                    ready!(poll_pause(body, left, timer, *wake, cx));
                    State::Readying
                }
                // Readying => InFlight | Ended
                StateProj::Readying => match ready!(this.retries.poll_ready(cx)) {
                    Ok(()) => State::InFlight {
                        response: this.retries.call_again(),
                    },
                    // The service is gone for good: what the last attempt said of it tells more.
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
    fn pausing(body: Option<C>, wait: Duration, drain: Drain) -> Self {
        let wake = clock::after(wait);
        let body = body.filter(|body| drain.is_of_use(body));
        let first = match body {
            Some(_) => clock::after(drain.time),
            None => wake,
        };
        Self::Pausing {
            body,
            left: drain.bytes,
            timer: Box::pin(sleep_until(first)),
            wake,
        }
    }
}

fn split<T, E>(result: Result<T, E>) -> (Option<T>, Option<E>) {
    match result {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error)),
    }
}

/// Reads the rest of the body while the timer runs, and then waits until it is time to wake.
fn poll_pause<C: Body>(
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
