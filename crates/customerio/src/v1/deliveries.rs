use serde::Serialize;

use super::request::{Success, V1Request};
use crate::device::check_token;
use crate::json::to_bytes;
use crate::operation::check_delivery_id;
use crate::person::{check_segment, encode};
use crate::{InvalidInput, Metric, PushEvent, Request, Timestamp};

const METRICS: &str = "/api/v1/metrics";
const PUSH_EVENTS: &str = "/api/v1/push/events";

/// Reports a metric of a delivery.
///
/// The API does not document whether a second copy counts twice. The request is therefore not
/// replayed after a failure that leaves open whether it arrived.
#[must_use]
pub fn metric(metric: &Metric) -> Request {
    let body = to_bytes(metric);
    V1Request::post(METRICS, METRICS.to_owned(), body)
        .not_replayed()
        .into()
}

/// Reports an event of a push notification on a device, in the older format.
///
/// # Errors
///
/// The delivery id or the token is empty or too long.
pub fn push_event(
    delivery_id: &str,
    event: PushEvent,
    device_token: &str,
    moment: Timestamp,
) -> Result<Request, InvalidInput> {
    check_delivery_id(delivery_id)?;
    check_token(device_token)?;
    let body = PushBody {
        delivery_id,
        event: event.name(),
        device_id: device_token,
        timestamp: moment,
    };
    let request = V1Request::post(PUSH_EVENTS, PUSH_EVENTS.to_owned(), to_bytes(&body));
    Ok(request.not_replayed().into())
}

#[derive(Serialize)]
struct PushBody<'a> {
    delivery_id: &'a str,
    event: &'static str,
    device_id: &'a str,
    timestamp: Timestamp,
}

/// Unsubscribes the recipient of a delivery, as the link in an email does.
///
/// # Errors
///
/// The delivery id is empty, `.`, `..` or too long.
pub fn unsubscribe(delivery_id: &str) -> Result<Request, InvalidInput> {
    subscription(delivery_id, true)
}

/// Reverts an [`unsubscribe`].
///
/// # Errors
///
/// As for [`unsubscribe`].
pub fn resubscribe(delivery_id: &str) -> Result<Request, InvalidInput> {
    subscription(delivery_id, false)
}

/// The path is at the root of the host, not under `/api/v1`.
fn subscription(delivery_id: &str, unsubscribe: bool) -> Result<Request, InvalidInput> {
    check_delivery_id(delivery_id)?;
    check_segment("delivery id", delivery_id)?;
    let path = format!("/unsubscribe/{}", encode(delivery_id));
    let request = V1Request {
        success: Success::ObjectOrNothing,
        ..V1Request::post(
            "/unsubscribe/{delivery_id}",
            path,
            to_bytes(&Subscription { unsubscribe }),
        )
    };
    Ok(request.into())
}

#[derive(Serialize)]
struct Subscription {
    unsubscribe: bool,
}
