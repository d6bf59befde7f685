use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::in_flight::InFlight;
use super::state::RateState;
use crate::wait::{POLLED_AFTER_ITS_END, Unacquired, UnboundedWait, WaitPolicy, Waited, Waiter};

pin_project! {
    /// The response future of [`RateLimit`](super::RateLimit).
    ///
    /// Nothing happens before the first poll. Its drop releases the position in the wait queue.
    /// After the departure, its drop records the request as abandoned: its slots stay held.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, W = UnboundedWait>
    where
        S: Service<Request<B>>,
        W: WaitPolicy,
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
        W: WaitPolicy,
    {
        // Waiting for the departure and for the inner service => InFlight, or Ended if rejected.
        Waiting {
            waiter: Waiter<RateState, W>,
            inner: S,
            request: Option<Request<B>>,
            reports: Reports,
        },
        // Departed => Ended, when the inner future has completed.
        InFlight {
            #[pin] response: S::Future,
            departed: InFlight,
            // Whether the response reports the cost.
            is_charged: bool,
            // Boxed, since most requests do not wait: the future of each would be larger.
            waited: Option<Box<Waited>>,
        },
        // A future that lives on after it has completed holds nothing, and sends nothing if it is
        // polled.
        Ended,
    }
}

impl<S, B, W> ResponseFuture<S, B, W>
where
    S: Service<Request<B>>,
    W: WaitPolicy,
{
    pub(super) fn new(
        inner: S,
        waiter: Waiter<RateState, W>,
        request: Request<B>,
        reports: Reports,
    ) -> Self {
        Self {
            state: State::Waiting {
                waiter,
                inner,
                request: Some(request),
                reports,
            },
        }
    }
}

impl<S, B, C, W> Future for ResponseFuture<S, B, W>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
    W: WaitPolicy,
{
    type Output = Result<S::Response, W::Error<S::Error>>;

    /// # Panics
    ///
    /// Panics if it has completed, and sends nothing then.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if let StateProj::Waiting {
            waiter,
            inner,
            request,
            reports,
        } = state.as_mut().project()
        {
            // Without the request, it has departed and the inner service has panicked. A departure
            // now would send nothing and hold a slot.
            assert!(request.is_some(), "{POLLED_AFTER_ITS_END}");
            let departed = match ready!(waiter.poll_acquire(cx, inner, replace)) {
                Ok(departed) => departed,
                Err(unacquired) => {
                    state.set(State::Ended);
                    return Poll::Ready(Err(match unacquired {
                        Unacquired::Rejected(rejection) => W::rejected(rejection),
                        Unacquired::Failed(error) => W::inner(error),
                    }));
                }
            };
            let request = request.take().expect("it is there until it departs");
            let waited = waiter.waited();
            let waited = waited.or_else(|| reports.wait.then(Waited::default));
            let waited = waited.map(Box::new);
            let is_charged = reports.cost;
            let response = inner.call(request);
            state.set(State::InFlight {
                response,
                departed,
                is_charged,
                waited,
            });
        }
        let StateProj::InFlight {
            response,
            departed,
            is_charged,
            waited,
        } = state.as_mut().project()
        else {
            panic!("{POLLED_AFTER_ITS_END}")
        };
        let mut polled = response.poll(cx);
        if let Poll::Ready(result) = &mut polled {
            record(departed, *is_charged, result);
            report(waited.take(), result);
            state.set(State::Ended);
        }
        polled.map_err(W::inner)
    }
}

/// Drops whatever the readiness of a service has reserved: a clone has reserved nothing.
fn replace<S: Clone>(service: &mut S) {
    *service = service.clone();
}

/// The reports that a response has in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reports {
    /// The wait, even if there was none.
    pub(super) wait: bool,
    /// The cost, since the request stated one.
    pub(super) cost: bool,
}

/// Records the end of the request in the limiter. A response `is_charged` if it reports the cost.
fn record<C, E: 'static>(
    departed: &mut InFlight,
    is_charged: bool,
    result: &mut Result<Response<C>, E>,
) {
    match result {
        Ok(response) => {
            let departure = departed.departure().filter(|_| is_charged);
            let answered = departed.answer(response.status(), response.headers());
            // Only after the server's own response: then it has counted the request.
            if let (Some(departure), Some(answered)) = (departure, answered) {
                let charged = departed.charged(departure, answered);
                response.extensions_mut().insert(charged);
            }
        }
        Err(error) if departed.classifier().was_sent(error) => departed.abandon(),
        Err(_) => departed.refund(),
    }
}

/// Inserts the wait into the extensions of the response.
fn report<C, E>(waited: Option<Box<Waited>>, result: &mut Result<Response<C>, E>) {
    if let (Some(waited), Ok(response)) = (waited, result) {
        response.extensions_mut().insert(*waited);
    }
}

impl<S, B, W> fmt::Debug for ResponseFuture<S, B, W>
where
    S: Service<Request<B>>,
    W: WaitPolicy,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
