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

use super::progress::RequestProgress;
use super::server_pause::LastPauseField;
use super::stats::Counters;
use super::trace;
use crate::response::is_from_the_api;
use crate::v1::Success;

/// How many bytes of a response of the Track API are read. A longer body fails the attempt: without
/// a bound, a server could fill the memory. The API's longest responses, to full batches, are well
/// below.
const MAX_BODY: usize = 1 << 20;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// A service that makes one attempt: it sends a request and reads the whole response, within a
/// timeout.
///
/// A body that ends too early is an error, and so is a success that is not from the API. Both leave
/// the outcome unknown, and the retry layer outside must see that. Errors of the inner service are
/// boxed and not wrapped, because `tower_pace::was_sent` tests their concrete type.
#[derive(Clone, Debug)]
pub(super) struct AttemptService<S> {
    inner: S,
    timeout: Duration,
    max_body: usize,
    counters: Arc<Counters>,
    last_pause_field: Arc<LastPauseField>,
}

impl<S> AttemptService<S> {
    pub(super) fn new(
        inner: S,
        timeout: Duration,
        counters: Arc<Counters>,
        last_pause_field: Arc<LastPauseField>,
    ) -> Self {
        Self {
            inner,
            timeout,
            max_body: MAX_BODY,
            counters,
            last_pause_field,
        }
    }

    /// Sets how many bytes of a response's body are read.
    pub(super) fn max_body(self, bytes: usize) -> Self {
        Self {
            max_body: bytes,
            ..self
        }
    }
}

impl<S, B> Service<Request<Full<Bytes>>> for AttemptService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = AttemptFuture<S::Future, Collect<Limited<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        match request.extensions().get::<Attempt>() {
            Some(_) => self.counters.count_retry(),
            None => self.counters.count_first(),
        }
        let extensions = request.extensions();
        let progress = extensions.get::<RequestProgress>();
        let progress = progress.cloned().unwrap_or_default();
        // Before the inner call: from here on, dropping the future does not prove "not sent".
        progress.record_departure();
        let deadline = Deadline::within(self.timeout);
        AttemptFuture {
            progress,
            success: extensions.get::<Success>().copied().unwrap_or_default(),
            counters: Arc::clone(&self.counters),
            last_pause_field: Arc::clone(&self.last_pause_field),
            deadline,
            max_body: self.max_body,
            timer: sleep_until(deadline.moment().into()),
            state: State::Sending {
                response: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The future of one attempt.
    pub(super) struct AttemptFuture<F, C> {
        #[pin]
        state: State<F, C>,
        deadline: Deadline,
        max_body: usize,
        #[pin]
        timer: Sleep,
        progress: RequestProgress,
        success: Success,
        counters: Arc<Counters>,
        last_pause_field: Arc<LastPauseField>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        // Sending => Reading once the head of the response is there, or the end with an error
        Sending { #[pin] response: F },
        // Reading => the end once the whole body is there, or with an error
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
    /// Polls until the whole response is in memory.
    fn poll_whole(
        mut self: Pin<&mut Self>,
        max_body: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Bytes>, BoxError>> {
        loop {
            let (head, body) = match self.as_mut().project() {
                StateProj::Sending { response } => {
                    ready!(response.poll(cx)).map_err(Into::into)?.into_parts()
                }
                StateProj::Reading { head, body } => {
                    let body = ready!(body.poll(cx))?.to_bytes();
                    let head = head.take().expect("a future is not polled after its end");
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
            };
            let body = Limited::new(body, max_body).collect();
            self.set(Self::Reading {
                head: Some(head),
                body,
            });
        }
    }
}

impl<F, B, E> Future for AttemptFuture<F, Collect<Limited<B>>>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Full<Bytes>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.state.poll_whole(*this.max_body, cx) {
            Poll::Ready(result) => {
                result.and_then(|response| check_from_the_api(response, *this.success))
            }
            Poll::Pending => {
                this.progress.count_on_connection(*this.max_body);
                // Compare the clock before polling the timer: if the inner future uses up the
                // task's budget at each poll, the timer stays pending forever.
                if !this.deadline.remaining().is_zero() {
                    ready!(this.timer.poll(cx));
                }
                this.progress.poison_connection();
                Err(TimedOut.into())
            }
        };
        if let Ok(response) = &result {
            this.last_pause_field
                .record(response.status(), response.headers());
        }
        record(&result, this.progress, this.counters);
        Poll::Ready(result.map(|response| response.map(Full::new)))
    }
}

/// Returns an error for a success that may not be from the API.
fn check_from_the_api(
    response: Response<Bytes>,
    success: Success,
) -> Result<Response<Bytes>, BoxError> {
    if is_from_the_api(&response, success) {
        Ok(response)
    } else {
        Err(NotFromTheApi(response).into())
    }
}

/// Records the result of the attempt: in the statistics, in the trace and in the progress.
fn record(
    result: &Result<Response<Bytes>, BoxError>,
    progress: &RequestProgress,
    counters: &Counters,
) {
    let throttled = |response: &Response<Bytes>| response.status() == StatusCode::TOO_MANY_REQUESTS;
    let is_throttled = result.as_ref().is_ok_and(throttled);
    if is_throttled {
        counters.count_throttled();
    }
    let may_have_arrived = match result {
        // A gateway may send a 408 or a 5xx after the server has read the request.
        Ok(response) => {
            response.status().is_server_error() || response.status() == StatusCode::REQUEST_TIMEOUT
        }
        Err(error) => was_sent(error),
    };
    let status = result.as_ref().map(|response| response.status().as_u16());
    trace::attempt(status.ok(), may_have_arrived);
    progress.record_end();
    if may_have_arrived {
        progress.record_may_have_arrived();
    } else if is_throttled || result.is_err() {
        // Any other response means that the API has read the request: the flag stays set.
        progress.clear_departure();
    }
}

/// A success that is not from the API, as an error, so that the retry layer sees a failure.
#[derive(Debug)]
pub(super) struct NotFromTheApi(pub(super) Response<Bytes>);

impl fmt::Display for NotFromTheApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response did not come from the API")
    }
}

impl Error for NotFromTheApi {}

#[derive(Debug)]
struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attempt timed out before the whole response came")
    }
}

impl Error for TimedOut {}
