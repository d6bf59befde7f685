use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, response};
use http_body::Body;
use http_body_util::combinators::Collect;
use http_body_util::{BodyExt, Full, Limited};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower::Service;
use tower_pace::{Attempt, Deadline, was_sent};

use super::hold::LastField;
use super::stats::Counters;
use super::trace;
use super::trail::Trail;
use crate::response::is_from_the_api;
use crate::v1::Success;

/// How much of a response's body is kept. More fails the attempt: no answer of the API comes near
/// it.
const MAX_BODY: usize = 1 << 20;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Makes one attempt: sends a request and reads the whole answer, within a timeout.
///
/// A success that is not of the API's form is an error, like a body that breaks off: both leave
/// open what became of the request, and the retry outside must see that. Errors of the inner
/// service are boxed and not wrapped, because `tower_pace::was_sent` tests them as they are.
#[derive(Clone, Debug)]
pub(super) struct Exchange<S> {
    inner: S,
    timeout: Duration,
    counters: Arc<Counters>,
    last_field: Arc<LastField>,
}

impl<S> Exchange<S> {
    pub(super) fn new(
        inner: S,
        timeout: Duration,
        counters: Arc<Counters>,
        last_field: Arc<LastField>,
    ) -> Self {
        Self {
            inner,
            timeout,
            counters,
            last_field,
        }
    }
}

impl<S, B> Service<Request<Full<Bytes>>> for Exchange<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, Collect<Limited<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        match request.extensions().get::<Attempt>() {
            Some(_) => self.counters.count_retry(),
            None => self.counters.count_first(),
        }
        let extensions = request.extensions();
        let trail = extensions.get::<Trail>().cloned().unwrap_or_default();
        trail.depart();
        let deadline = Deadline::within(self.timeout);
        ResponseFuture {
            trail,
            success: extensions.get::<Success>().copied().unwrap_or_default(),
            counters: Arc::clone(&self.counters),
            last_field: Arc::clone(&self.last_field),
            deadline,
            timer: sleep_until(deadline.moment().into()),
            state: State::Sending {
                response: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// Polling the attempt from [`Exchange::call`].
    pub(super) struct ResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
        deadline: Deadline,
        #[pin]
        timer: Sleep,
        trail: Trail,
        success: Success,
        counters: Arc<Counters>,
        last_field: Arc<LastField>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        // Until the head of the response is there => Reading, or the end
        Sending { #[pin] response: F },
        // Until its body is there
        Reading { head: Option<response::Parts>, #[pin] body: C },
    }
}

impl<F, B, E> State<F, Collect<Limited<B>>>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll_whole(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Bytes>, BoxError>> {
        loop {
            let (head, body) = match self.as_mut().project() {
                StateProj::Sending { response } => {
                    ready!(response.poll(cx)).map_err(Into::into)?.into_parts()
                }
                StateProj::Reading { head, body } => {
                    let body = ready!(body.poll(cx))?.to_bytes();
                    let head = head.take().expect("the body ends once");
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
            };
            let body = Limited::new(body, MAX_BODY).collect();
            self.set(Self::Reading {
                head: Some(head),
                body,
            });
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, Collect<Limited<B>>>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Full<Bytes>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.state.poll_whole(cx) {
            Poll::Ready(result) => result.and_then(|response| of_the_api(response, *this.success)),
            Poll::Pending => {
                this.trail.note_connection();
                // Asked first: a timer is pending while the exchange uses up the task's budget at
                // each poll.
                if !this.deadline.remaining().is_zero() {
                    ready!(this.timer.poll(cx));
                }
                this.trail.poison_connection();
                Err(TimedOut.into())
            }
        };
        if let Ok(response) = &result {
            this.last_field.note(response.status(), response.headers());
        }
        record(&result, this.trail, this.counters);
        Poll::Ready(result.map(|response| response.map(Full::new)))
    }
}

/// Refuses a success that leaves open whether the API gave it.
fn of_the_api(response: Response<Bytes>, success: Success) -> Result<Response<Bytes>, BoxError> {
    if is_from_the_api(&response, success) {
        Ok(response)
    } else {
        Err(NotOfTheApi(response).into())
    }
}

fn record(result: &Result<Response<Bytes>, BoxError>, trail: &Trail, counters: &Counters) {
    let throttled = |response: &Response<Bytes>| response.status() == StatusCode::TOO_MANY_REQUESTS;
    let is_throttled = result.as_ref().is_ok_and(throttled);
    if is_throttled {
        counters.count_throttled();
    }
    let may_have_arrived = match result {
        Ok(response) => {
            response.status().is_server_error() || response.status() == StatusCode::REQUEST_TIMEOUT
        }
        Err(error) => was_sent(error),
    };
    let status = result.as_ref().map(|response| response.status().as_u16());
    trace::attempt(status.ok(), may_have_arrived);
    trail.end();
    if may_have_arrived {
        trail.mark_may_have_arrived();
    } else if is_throttled || result.is_err() {
        trail.take_back();
    }
}

/// Carries a success whose body is not of the API's form through the retry.
#[derive(Debug)]
pub(super) struct NotOfTheApi(pub(super) Response<Bytes>);

impl fmt::Display for NotOfTheApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was not of the API's form")
    }
}

impl Error for NotOfTheApi {}

#[derive(Debug)]
struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attempt timed out")
    }
}

impl Error for TimedOut {}
