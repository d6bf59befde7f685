use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use pacing::Answer;
use pin_project_lite::pin_project;

use super::in_flight::InFlight;
use super::state::End;
use super::{BodyEnd, Until};
use crate::wait::{POLLED_AFTER_ITS_END, UnboundedWait, WaitPolicy};

pin_project! {
    /// The response of [`Concurrency`](super::Concurrency). A drop, or the end of the call, gives
    /// the permit back, unless the response has a body that is still to come: then the body holds
    /// it.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, U = BodyEnd, W = UnboundedWait>
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
        // Sent => Ended
        InFlight { #[pin] response: F, call: InFlight },
        // Not sent, since the wait for a permit was refused => Ended
        Refused { rejection: Option<R> },
        // A future that has completed may live on and must hold nothing
        Ended,
    }
}

impl<F, U, W: WaitPolicy> ResponseFuture<F, U, W> {
    #[inline]
    pub(super) fn sent(response: F, call: InFlight) -> Self {
        Self {
            state: State::InFlight { response, call },
            until: PhantomData,
        }
    }

    pub(super) fn refused(rejection: W::Rejection) -> Self {
        Self {
            state: State::Refused {
                rejection: Some(rejection),
            },
            until: PhantomData,
        }
    }
}

impl<F, C, E, U, W> Future for ResponseFuture<F, U, W>
where
    F: Future<Output = Result<Response<C>, E>>,
    U: Until<C>,
    W: WaitPolicy,
{
    type Output = Result<Response<U::Body>, W::Error<E>>;

    /// # Panics
    ///
    /// Panics if it has completed before, as any future may.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        match state.as_mut().project() {
            StateProj::InFlight { response, call } => {
                let polled = response.poll(cx);
                let Poll::Ready(result) = &polled else {
                    return Poll::Pending;
                };
                // Taken even if the call failed.
                let (load, end) = read(result);
                let permit = call.answer(load, end);
                state.set(State::Ended);
                polled
                    .map_ok(|response| U::hold(response, permit))
                    .map_err(W::inner)
            }
            StateProj::Refused { rejection } => {
                let rejection = rejection.take().expect("it is taken with the end");
                state.set(State::Ended);
                Poll::Ready(Err(W::rejected(rejection)))
            }
            StateProj::Ended => panic!("{POLLED_AFTER_ITS_END}"),
        }
    }
}

/// What a result says of the server's load. A 429 speaks of the rate, and other refusals of the
/// request.
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

impl<F, U, W: WaitPolicy> fmt::Debug for ResponseFuture<F, U, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_has_too_much_to_do_is_overloaded() {
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
