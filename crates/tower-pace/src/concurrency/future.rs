use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use pacing::Answer;
use pin_project_lite::pin_project;

use super::in_flight::InFlight;
use super::state::End;
use super::{BodyEnd, Until};
use crate::wait::{POLLED_AFTER_ITS_END, UnboundedWait, WaitPolicy};

pin_project! {
    /// The response future of [`Concurrency`](super::Concurrency).
    ///
    /// Its drop releases the permit. When it completes, it releases the permit too, unless the
    /// response's body holds it.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, W = UnboundedWait, U = BodyEnd>
    where
        W: WaitPolicy,
    {
        #[pin]
        state: State<F, W::Rejection>,
        until: PhantomData<U>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        InFlight { #[pin] response: F, call: InFlight },
        // Not sent, since the wait for a permit was rejected.
        Rejected { rejection: Option<R> },
        // A future that lives on after it has completed must hold nothing.
        Completed,
    }
}

impl<F, W: WaitPolicy, U> ResponseFuture<F, W, U> {
    #[inline]
    pub(super) fn in_flight(response: F, call: InFlight) -> Self {
        Self {
            state: State::InFlight { response, call },
            until: PhantomData,
        }
    }

    pub(super) fn rejected(rejection: W::Rejection) -> Self {
        Self {
            state: State::Rejected {
                rejection: Some(rejection),
            },
            until: PhantomData,
        }
    }
}

impl<F, C, E, W, U> Future for ResponseFuture<F, W, U>
where
    F: Future<Output = Result<Response<C>, E>>,
    W: WaitPolicy,
    U: Until<C>,
{
    type Output = Result<Response<U::Body>, W::Error<E>>;

    /// # Panics
    ///
    /// Panics if it has completed before, as any future may.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        match state.as_mut().project() {
            // InFlight => Completed, when the inner service has answered or failed.
            StateProj::InFlight { response, call } => {
                let result = ready!(response.poll(cx));
                let (load, end) = read(&result);
                // Taken out even if the call failed: it is released then, after the inner future
                // is dropped.
                let permit = call.end(load, end);
                state.set(State::Completed);
                Poll::Ready(match result {
                    Ok(response) => Ok(U::hold(response, permit)),
                    Err(error) => Err(W::inner(error)),
                })
            }
            // Rejected => Completed.
            StateProj::Rejected { rejection } => {
                let rejection = rejection.take();
                let rejection = rejection.expect("it is taken when the future completes");
                state.set(State::Completed);
                Poll::Ready(Err(W::rejected(rejection)))
            }
            StateProj::Completed => panic!("{POLLED_AFTER_ITS_END}"),
        }
    }
}

/// Returns how a call ended, and the sign of the server's load in its result.
///
/// A 429 is about the rate, and other client errors are about the request: neither shows a load.
fn read<C, E>(result: &Result<Response<C>, E>) -> (Answer, End) {
    let Ok(response) = result else {
        return (Answer::Overloaded, End::Failed);
    };
    let load = match response.status() {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Answer::Overloaded
        }
        status if status.is_success() || status.is_redirection() => Answer::Served,
        _ => Answer::Silent,
    };
    (load, End::Answered)
}

impl<F, W: WaitPolicy, U> fmt::Debug for ResponseFuture<F, W, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_and_gateway_errors_show_an_overload() {
        fn check(status: u16, expected: Answer) {
            let response = Response::builder().status(status).body(()).unwrap();
            assert_eq!(
                read(&Ok::<_, ()>(response)),
                (expected, End::Answered),
                "{status}"
            );
        }
        check(200, Answer::Served);
        check(304, Answer::Served);
        check(101, Answer::Silent);
        check(404, Answer::Silent);
        check(429, Answer::Silent);
        check(500, Answer::Silent);
        check(502, Answer::Overloaded);
        check(503, Answer::Overloaded);
        check(504, Answer::Overloaded);
        assert_eq!(
            read(&Err::<Response<()>, _>("timed out")),
            (Answer::Overloaded, End::Failed)
        );
    }
}
