use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use secrecy::zeroize::Zeroizing;
use tower::{Layer, ServiceExt};
use tower_pace::concurrency::PermitBody;
use tower_pace::{Deadline, DeadlineLayer, RateLimitLayer, Rejected, was_sent};

use super::attempt::{BoxError, NotFromTheApi};
use super::classify::classify;
use super::client::Inner;
use super::daily_quota::{DailyQuota, QuotaEndpoint, restore};
use super::progress::{DepartureFlag, RequestProgress};
use super::redact::{redact_error, redact_response};
use super::server_pause::{PausedTooLong, paused_too_long};
use super::stack::Stack;
use super::trace::Trace;
use crate::app::{APP_API_KEY, AppEndpoint, AppRequest, Kind};
use crate::credentials::SITE_ID;
use crate::response::{Kind as CauseKind, not_json};
use crate::{Cause, Delivery, Failure, Outcome};

/// One call of a client: it sends the requests of one [`Delivery`], one after the other, within the
/// deadline and the bound on pauses of the call.
pub(super) struct Call<'a> {
    client: &'a Inner,
    departure: Option<DepartureFlag>,
    deadline: Option<Deadline>,
    /// For how long the server may still pause the call; `None` if forever.
    pause_left: Option<Duration>,
    /// The number of successes of the client when the call began, or when the server last failed a
    /// request of the call.
    successes: u64,
}

/// Where a request goes.
struct Target<'a> {
    stack: &'a Stack,
    /// The rate limiter of the stack, whose gate says whether the server pauses the request.
    limit: &'a RateLimitLayer,
    /// The texts to redact in what comes back.
    secrets: &'a [Zeroizing<String>],
    /// Whether a success is returned as it came: its text gets into no error, and may be long.
    keeps_successes: bool,
}

/// The end of a request with all its attempts.
struct Exchange {
    reply: Reply,
    /// Whether an attempt before the last one may have arrived.
    may_have_arrived: bool,
}

enum Reply {
    Response(Response<Bytes>),
    /// The daily quota of the endpoint is used up, and the response that said so, if this request
    /// got it.
    DailyQuota(Response<Bytes>, DailyQuota),
    /// A success that is not from the API.
    NotFromTheApi(Response<Bytes>),
    Failure(Failure),
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
        let Some(endpoint) = &self.client.track else {
            delivery.fail(Failure::missing_credentials(SITE_ID));
            return None;
        };
        if let Some(failure) = self.failure_before_sending() {
            delivery.fail(failure);
            return None;
        }
        let trace = Trace::start(&request.method(), request.route(), request.len());
        let request = request.to_http(endpoint);
        let target = Target {
            stack: &self.client.stacks.ingress,
            limit: &self.client.layers.limit,
            secrets: &endpoint.secrets(),
            keeps_successes: false,
        };
        let exchange = trace.instrument(self.exchange(request, &target)).await;
        let response = self.settle(exchange, delivery);
        trace.record_status(response.as_ref());
        response
    }

    /// Records the end of a request in its delivery. Returns the response, if one came.
    fn settle(&self, exchange: Exchange, delivery: &mut Delivery) -> Option<Response<Bytes>> {
        // Both before the result is settled: it depends on them.
        if exchange.may_have_arrived {
            delivery.attempt_may_have_arrived();
        }
        if self.client.layers.counters.successes() > self.successes {
            delivery.others_succeed();
        }
        match exchange.reply {
            // The Track API has no daily quotas.
            Reply::Response(response) | Reply::DailyQuota(response, _) => {
                delivery.answer(&response);
                Some(response)
            }
            Reply::NotFromTheApi(response) => {
                delivery.answer(&response);
                None
            }
            Reply::Failure(failure) => {
                delivery.fail(failure);
                None
            }
        }
    }

    /// Sends a request to the App API with all its attempts. Returns its outcome, and the response
    /// if one came.
    pub(super) async fn send_app(
        mut self,
        request: &AppRequest,
    ) -> (Outcome, Option<Response<Bytes>>) {
        let (outcome, response) = match &self.client.app {
            Some(endpoint) => self.send_app_to(endpoint, request).await,
            None => {
                let failure = Failure::missing_credentials(APP_API_KEY);
                (request.settle_failure(failure), None)
            }
        };
        let counters = &self.client.layers.counters;
        counters.count_outcomes(std::slice::from_ref(&outcome));
        (outcome, response)
    }

    async fn send_app_to(
        &mut self,
        endpoint: &AppEndpoint,
        request: &AppRequest,
    ) -> (Outcome, Option<Response<Bytes>>) {
        let client = self.client;
        if let Some(failure) = self.failure_before_sending() {
            return (request.settle_failure(failure), None);
        }
        let quota = QuotaEndpoint {
            gates: client.layers.app.gates.clone(),
            // Each method of a path is an endpoint of its own.
            route: format!("{} {}", request.method(), request.route()).into(),
            pause: client.layers.quota_pause,
            documents_429: request.kind() == Kind::Other,
        };
        // Before the wait for a departure. The stack checks again after it.
        if let Some(quota) = quota.closed() {
            return (daily_quota(quota, None), None);
        }
        let trace = Trace::start(request.method(), request.route(), 1);
        let mut http = request.to_http(endpoint);
        http.extensions_mut().insert(quota);
        let (stack, limit) = match request.kind() {
            Kind::Message => (&client.stacks.message, &client.layers.limit),
            Kind::Trigger => (&client.stacks.trigger, &client.layers.app.trigger),
            Kind::Other => (&client.stacks.app, &client.layers.app.app),
        };
        let target = Target {
            stack,
            limit,
            secrets: &endpoint.secrets(),
            keeps_successes: true,
        };
        let exchange = trace.instrument(self.exchange(http, &target)).await;
        let may_have_arrived = exchange.may_have_arrived;
        let (outcome, response) = match exchange.reply {
            Reply::Response(response) => (request.settle(&response), Some(response)),
            Reply::DailyQuota(response, quota) if quota.is_from_response => {
                (daily_quota(quota, Some(&response)), Some(response))
            }
            Reply::DailyQuota(_, quota) => (daily_quota(quota, None), None),
            Reply::NotFromTheApi(response) if response.status().is_success() => {
                (Outcome::Unknown(not_json(&response)), None)
            }
            Reply::NotFromTheApi(response) => (request.settle(&response), None),
            Reply::Failure(failure) => (request.settle_failure(failure), None),
        };
        trace.record_status(response.as_ref());
        let outcome = match (outcome.unless_arrived(may_have_arrived), &response) {
            // An earlier attempt may have deleted or created what this one did not find, or found.
            (Outcome::Rejected(_), Some(response))
                if may_have_arrived && !request.method().is_safe() =>
            {
                let cause = Cause::from_response(CauseKind::Status, response, String::new());
                Outcome::Unknown(cause)
            }
            (outcome, _) => outcome,
        };
        (outcome, response)
    }

    /// Returns why the next request of the call may not be sent, if the deadline has passed or the
    /// server has paused the call for as long as it may.
    fn failure_before_sending(&self) -> Option<Failure> {
        let is_over = |deadline: Deadline| deadline.remaining().is_zero();
        if self.deadline.is_some_and(is_over) {
            return Some(Failure::deadline(false));
        }
        let is_paused = self.pause_left.is_some_and(|left| left.is_zero());
        is_paused.then(Failure::paused_too_long)
    }

    async fn exchange(
        &mut self,
        mut request: Request<Full<Bytes>>,
        target: &Target<'_>,
    ) -> Exchange {
        let progress = RequestProgress::new(self.departure.clone());
        // After this request the call has had an effect, so a later 429 must not clear the flag.
        self.departure = self.departure.take().map(DepartureFlag::never_cleared);
        request.extensions_mut().insert(progress.clone());
        let sending = send_until(target.stack.clone(), request, self.deadline);
        let result = match &mut self.pause_left {
            Some(left) => {
                let paused = paused_too_long(target.limit, &progress, left);
                or_paused(pin!(sending), pin!(paused)).await
            }
            None => sending.await,
        };
        let reply = match result {
            Ok(response) => {
                let (response, quota) = restore(collect(response).await);
                let is_kept = target.keeps_successes && response.status().is_success();
                let response = match is_kept {
                    true => response,
                    false => redact_response(response, target.secrets),
                };
                match quota {
                    Some(quota) => Reply::DailyQuota(response, quota),
                    None => Reply::Response(response),
                }
            }
            Err(error) => of_error(error, &progress, target.secrets),
        };
        Exchange {
            reply,
            may_have_arrived: progress.may_have_arrived(),
        }
    }
}

/// Returns the outcome of a request to an endpoint whose daily quota is used up.
fn daily_quota(quota: DailyQuota, response: Option<&Response<Bytes>>) -> Outcome {
    let cause = Cause::daily_quota(response, quota.is_reset_known, quota.left);
    Outcome::NotSent(cause)
}

/// Returns the end of a request whose last attempt was an error.
fn of_error(error: BoxError, progress: &RequestProgress, secrets: &[Zeroizing<String>]) -> Reply {
    Reply::Failure(match error.downcast::<NotFromTheApi>() {
        Ok(error) => return Reply::NotFromTheApi(redact_response(error.0, secrets)),
        Err(error) if error.is::<Late>() => {
            let may_have_been_sent = progress.may_have_been_sent();
            // No response in time: the connection may be dead.
            if may_have_been_sent {
                progress.poison_connection();
            }
            Failure::deadline(may_have_been_sent)
        }
        Err(error) if error.is::<PausedTooLong>() => Failure::paused_too_long(),
        Err(error) => match error.downcast::<Rejected>() {
            Ok(rejected) => Failure::wait_rejected(*rejected),
            Err(error) => failure(error, secrets),
        },
    })
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

fn failure(error: BoxError, secrets: &[Zeroizing<String>]) -> Failure {
    // Both look at the types in the error, so they come before it may be replaced by its text.
    let (may_have_been_sent, kind) = (was_sent(&error), classify(&*error));
    let error = redact_error(error, secrets);
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
