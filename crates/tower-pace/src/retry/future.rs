use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pacing::retry::{Attempts, Failure, RetryPolicy};
use pin_project_lite::pin_project;
use rand::rngs::SmallRng;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::Attempt;
use super::signs::{failure, may_replay};

pin_project! {
    /// The response of [`Retry`](super::Retry): that of the last attempt. A drop ends the current attempt and the waiting.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future>,
        retries: Retries<S, B>,
        last_error: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // An attempt is on its way => Waiting, or the end
        InFlight { #[pin] response: F },
        // Until it is time for the next attempt => Readying
        Waiting { timer: Pin<Box<Sleep>> },
        // Until the inner service is ready for it => InFlight, or the end
        Readying,
    }
}

/// What is needed for another attempt.
struct Retries<S, B> {
    inner: S,
    /// Kept for as long as another attempt is possible.
    request: Option<Request<B>>,
    may_replay: bool,
    attempts: Attempts,
    rng: Arc<Mutex<SmallRng>>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: Clone,
{
    pub(super) fn new(
        mut ready: S,
        request: Request<B>,
        policy: RetryPolicy,
        rng: Arc<Mutex<SmallRng>>,
    ) -> Self {
        let attempts = Attempts::first(policy);
        let kept = attempts.may_continue().then(|| request.clone());
        let may_replay = may_replay(&request);
        Self {
            state: State::InFlight {
                response: ready.call(request),
            },
            retries: Retries {
                inner: ready,
                request: kept,
                may_replay,
                attempts,
                rng,
            },
            last_error: None,
        }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Error: 'static,
    B: Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::InFlight { response } => {
                    let result = ready!(response.poll(cx));
                    let Some(wait) = this.retries.wait_after(&result) else {
                        return Poll::Ready(result);
                    };
                    *this.last_error = result.err();
                    State::Waiting {
                        timer: Box::pin(sleep(wait)),
                    }
                }
                StateProj::Waiting { timer } => {
                    ready!(timer.as_mut().poll(cx));
                    State::Readying
                }
                StateProj::Readying => match ready!(this.retries.inner.poll_ready(cx)) {
                    Ok(()) => State::InFlight {
                        response: this.retries.call(),
                    },
                    // The service is gone for good: what the last attempt said of it tells more.
                    Err(error) => return Poll::Ready(Err(this.last_error.take().unwrap_or(error))),
                },
            };
            this.state.set(next);
        }
    }
}

impl<S, B> Retries<S, B> {
    /// How long to wait for another attempt, if there is to be one.
    fn wait_after<C, E: 'static>(&mut self, result: &Result<Response<C>, E>) -> Option<Duration> {
        self.request.as_ref()?;
        let failure: Failure = failure(result, self.may_replay)?;
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        self.attempts.after(failure, &mut *rng)
    }

    /// Sends the request again. The inner service must be ready.
    fn call(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: Clone,
    {
        let kept = self.attempts.may_continue().then(|| self.request.clone());
        let last = mem::replace(&mut self.request, kept.flatten());
        let mut request = last.expect("another attempt is made only while the request is kept");
        let attempt = Attempt(self.attempts.number());
        request.extensions_mut().insert(attempt);
        self.inner.call(request)
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
