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
use tower_pace::line::Refused;
use tower_pace::{Deadline, DeadlineLayer, was_sent};

use super::exchange::{BoxError, NotOfTheApi};
use super::hold::{HeldTooLong, held_for};
use super::mask::masked;
use super::shown::showable;
use super::stack::Stack;
use super::trace::Trace;
use super::trail::{Departure, Trail};
use super::{Client, diagnosis};
use crate::{Delivery, Endpoint, Failure, Outcome};

/// What all parts of one call share.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) departure: Option<Departure>,
    pub(super) deadline: Option<Deadline>,
    /// For how long the server may still hold the call back.
    pub(super) hold: Option<Duration>,
    /// How many requests had succeeded when the call began, or when a part of it failed last.
    pub(super) successes: u64,
}

type Answer = Result<Response<PermitBody<Full<Bytes>>>, BoxError>;

impl Client {
    /// Carries a delivery to its end, or to the deadline of the call.
    pub(super) async fn carry(
        &self,
        mut delivery: Delivery,
        departure: Option<Departure>,
    ) -> Vec<Outcome> {
        let counters = &self.0.layers.counters;
        let mut call = self.call(departure);
        while delivery.request().is_some() {
            let response = self.part(&mut delivery, &mut call).await;
            match response.map(|response| response.status()) {
                Some(status) if status.is_success() => counters.count_success(),
                // The halves need a success of their own time: the server may fail for all by now.
                Some(status) if status.is_server_error() => call.successes = counters.successes(),
                _ => {}
            }
        }
        let outcomes = delivery.into_outcomes();
        self.0.layers.counters.count_outcomes(&outcomes);
        outcomes
    }

    /// Begins a call, which ends at its deadline.
    pub(super) fn call(&self, departure: Option<Departure>) -> Call {
        Call {
            departure,
            deadline: self.0.deadline.map(Deadline::within),
            hold: self.0.max_hold,
            successes: self.0.layers.counters.successes(),
        }
    }

    /// Sends the next request of a delivery, unless the deadline of the call has passed. Returns
    /// the answer, if one came.
    pub(super) async fn part(
        &self,
        delivery: &mut Delivery,
        call: &mut Call,
    ) -> Option<Response<Bytes>> {
        let request = delivery.request()?;
        if call
            .deadline
            .is_some_and(|deadline| deadline.remaining().is_zero())
        {
            delivery.fail(Failure::deadline(false));
            return None;
        }
        if call.hold.is_some_and(|left| left.is_zero()) {
            delivery.fail(Failure::paused_too_long());
            return None;
        }
        let trace = Trace::start(request);
        let request = request.to_http(&self.0.endpoint);
        self.traced(trace, request, delivery, call).await
    }

    /// Sends one request with all its attempts, and tells the delivery how it ended. Returns the
    /// answer, if one came.
    async fn traced(
        &self,
        trace: Trace,
        request: Request<Full<Bytes>>,
        delivery: &mut Delivery,
        call: &mut Call,
    ) -> Option<Response<Bytes>> {
        let exchange = self.exchange(request, delivery, call);
        let response = trace.cover(exchange).await;
        trace.end(response.as_ref());
        response
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        delivery: &mut Delivery,
        call: &mut Call,
    ) -> Option<Response<Bytes>> {
        let trail = Trail::new(call.departure.clone());
        call.departure = call.departure.take().map(Departure::finally);
        request.extensions_mut().insert(trail.clone());
        let sending = answer(self.0.stack.clone(), request, call.deadline);
        let result = match &mut call.hold {
            Some(left) => {
                let held = held_for(&self.0.layers.limit, &trail, left);
                unless(pin!(sending), pin!(held)).await
            }
            None => sending.await,
        };
        if trail.may_have_arrived() {
            delivery.attempt_may_have_arrived();
        }
        if self.0.layers.counters.successes() > call.successes {
            delivery.others_succeed();
        }
        match result {
            Ok(response) => {
                let response = masked(whole(response).await, &self.0.endpoint);
                delivery.answer(&response);
                Some(response)
            }
            Err(error) => {
                self.settle_error(error, &trail, delivery);
                None
            }
        }
    }

    fn settle_error(&self, error: BoxError, trail: &Trail, delivery: &mut Delivery) {
        match error.downcast::<NotOfTheApi>() {
            Ok(answer) => delivery.answer(&masked(answer.0, &self.0.endpoint)),
            Err(error) if error.is::<Late>() => {
                let is_in_flight = trail.is_in_flight();
                if is_in_flight {
                    trail.poison_connection();
                }
                delivery.fail(Failure::deadline(is_in_flight));
            }
            Err(error) if error.is::<HeldTooLong>() => delivery.fail(Failure::paused_too_long()),
            Err(error) => match error.downcast::<Refused>() {
                Ok(refused) => delivery.fail(Failure::wait_rejected(*refused)),
                Err(error) => delivery.fail(failure(error, &self.0.endpoint)),
            },
        }
    }
}

async fn answer(stack: Stack, request: Request<Full<Bytes>>, deadline: Option<Deadline>) -> Answer {
    let Some(deadline) = deadline else {
        return stack.oneshot(request).await;
    };
    let stack = DeadlineLayer::new(deadline.remaining()).layer(stack);
    let result = stack.oneshot(request).await;
    result.map_err(|error| error.into_inner().unwrap_or_else(|| Late.into()))
}

/// Waits for an answer until the call is held for too long.
async fn unless(
    mut sending: Pin<&mut impl Future<Output = Answer>>,
    mut held: Pin<&mut impl Future<Output = ()>>,
) -> Answer {
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => held.as_mut().poll(cx).map(|()| Err(HeldTooLong.into())),
    })
    .await
}

fn failure(error: BoxError, endpoint: &Endpoint) -> Failure {
    let (may_have_left, kind) = (was_sent(&error), diagnosis::kind(&*error));
    Failure::boxed(may_have_left, kind, showable(error, &endpoint.secrets()))
}

/// Takes the body, which was read before already, and so gives the permit back.
async fn whole(response: Response<PermitBody<Full<Bytes>>>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

/// The deadline of the call passed. Whether an attempt was in flight then, the trail knows.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl Error for Late {}
