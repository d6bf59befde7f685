use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_pace::concurrency::PermitBody;
use tower_pace::{Deadline, DeadlineLayer, Rejected, was_sent};

use super::attempt::{BoxError, NotFromTheApi};
use super::classify::classify;
use super::client::Inner;
use super::progress::{DepartureFlag, RequestProgress};
use super::redact::{redact_error, redact_response};
use super::server_pause::{PausedTooLong, paused_too_long};
use super::stack::Stack;
use super::trace::Trace;
use crate::{Delivery, Endpoint, Failure, Outcome};

/// One call of a client: it sends the requests of one [`Delivery`], one after the other, within the
/// deadline and the bound on pauses of the call.
pub(super) struct Call<'a> {
    client: &'a Inner,
    departure: Option<DepartureFlag>,
    deadline: Option<Deadline>,
    /// For how long the server may still pause the call; `None` if for ever.
    pause_left: Option<Duration>,
    /// The number of successes of the client when the call began, or when the server last failed a
    /// request of the call.
    successes: u64,
}

type StackResult = Result<Response<PermitBody<Full<Bytes>>>, BoxError>;

impl<'a> Call<'a> {
    /// Begins a call. Its deadline counts from now.
    pub(super) fn new(client: &'a Inner, departure: Option<DepartureFlag>) -> Self {
        Self {
            client,
            departure,
            deadline: client.deadline.map(Deadline::within),
            pause_left: client.max_server_pause,
            successes: client.layers.counters.successes(),
        }
    }

    /// Sends the requests of a delivery until each operation has its outcome.
    pub(super) async fn deliver(mut self, mut delivery: Delivery) -> Vec<Outcome> {
        let counters = &self.client.layers.counters;
        while delivery.request().is_some() {
            let response = self.send_next(&mut delivery).await;
            match response.map(|response| response.status()) {
                Some(status) if status.is_success() => counters.count_success(),
                // Only a success after this failure shows that the server does not fail for every
                // request; without this line, an outage would look like one bad operation.
                Some(status) if status.is_server_error() => self.successes = counters.successes(),
                _ => {}
            }
        }
        let outcomes = delivery.into_outcomes();
        counters.count_outcomes(&outcomes);
        outcomes
    }

    /// Sends the next request of a delivery with all its attempts, and settles it. Returns the
    /// response, if one came.
    ///
    /// Sends nothing if the deadline has passed, or if the server has paused the call for as long
    /// as it may.
    pub(super) async fn send_next(&mut self, delivery: &mut Delivery) -> Option<Response<Bytes>> {
        let request = delivery.request()?;
        if self
            .deadline
            .is_some_and(|deadline| deadline.remaining().is_zero())
        {
            delivery.fail(Failure::deadline(false));
            return None;
        }
        if self.pause_left.is_some_and(|left| left.is_zero()) {
            delivery.fail(Failure::paused_too_long());
            return None;
        }
        let trace = Trace::start(request);
        let request = request.to_http(&self.client.endpoint);
        let response = trace.instrument(self.send(request, delivery)).await;
        trace.record_status(response.as_ref());
        response
    }

    async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
        delivery: &mut Delivery,
    ) -> Option<Response<Bytes>> {
        let client = self.client;
        let progress = RequestProgress::new(self.departure.clone());
        // After this request the call has had an effect, so a later 429 must not clear the flag.
        self.departure = self.departure.take().map(DepartureFlag::never_cleared);
        request.extensions_mut().insert(progress.clone());
        let sending = send_until(client.stack.clone(), request, self.deadline);
        let result = match &mut self.pause_left {
            Some(left) => {
                let paused = paused_too_long(&client.layers.limit, &progress, left);
                or_paused(pin!(sending), pin!(paused)).await
            }
            None => sending.await,
        };
        // Both before the result is settled: it depends on them.
        if progress.may_have_arrived() {
            delivery.attempt_may_have_arrived();
        }
        if client.layers.counters.successes() > self.successes {
            delivery.others_succeed();
        }
        match result {
            Ok(response) => {
                let response = redact_response(collect(response).await, &client.endpoint);
                delivery.answer(&response);
                Some(response)
            }
            Err(error) => {
                settle_error(error, &progress, delivery, &client.endpoint);
                None
            }
        }
    }
}

/// Settles the next request of a delivery by the error of its last attempt.
fn settle_error(
    error: BoxError,
    progress: &RequestProgress,
    delivery: &mut Delivery,
    endpoint: &Endpoint,
) {
    match error.downcast::<NotFromTheApi>() {
        Ok(error) => delivery.answer(&redact_response(error.0, endpoint)),
        Err(error) if error.is::<Late>() => {
            let may_have_been_sent = progress.may_have_been_sent();
            // No response in time: the connection may be dead.
            if may_have_been_sent {
                progress.poison_connection();
            }
            delivery.fail(Failure::deadline(may_have_been_sent));
        }
        Err(error) if error.is::<PausedTooLong>() => delivery.fail(Failure::paused_too_long()),
        Err(error) => match error.downcast::<Rejected>() {
            Ok(rejected) => delivery.fail(Failure::wait_rejected(*rejected)),
            Err(error) => delivery.fail(failure(error, endpoint)),
        },
    }
}

/// Sends a request through the stack, at most until the deadline.
async fn send_until(
    stack: Stack,
    request: Request<Full<Bytes>>,
    deadline: Option<Deadline>,
) -> StackResult {
    let Some(deadline) = deadline else {
        return stack.oneshot(request).await;
    };
    let stack = DeadlineLayer::new(deadline.remaining()).layer(stack);
    let result = stack.oneshot(request).await;
    result.map_err(|error| error.into_inner().unwrap_or_else(|| Late.into()))
}

/// Waits for the response, or until the server has paused the call for too long.
async fn or_paused(
    mut sending: Pin<&mut impl Future<Output = StackResult>>,
    mut paused: Pin<&mut impl Future<Output = ()>>,
) -> StackResult {
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => paused.as_mut().poll(cx).map(|()| Err(PausedTooLong.into())),
    })
    .await
}

fn failure(error: BoxError, endpoint: &Endpoint) -> Failure {
    // Both look at the types in the error, so they come before it may be replaced by its text.
    let (may_have_been_sent, kind) = (was_sent(&error), classify(&*error));
    let error = redact_error(error, &endpoint.secrets());
    Failure::boxed(may_have_been_sent, kind, error)
}

/// Reads the body to its end, which releases the permit. It is in memory already, so this does not
/// wait.
async fn collect(response: Response<PermitBody<Full<Bytes>>>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

/// The deadline of the call passed. Its `RequestProgress` says whether an attempt was in flight.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl Error for Late {}
