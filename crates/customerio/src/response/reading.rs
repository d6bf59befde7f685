use bytes::Bytes;
use http::{Response, Uri, header};
use serde::de::IgnoredAny;

use super::body::{ResponseBody, message};
use super::cause::Kind;
use super::{Cause, Rejection};
use crate::Region;
use crate::v1::Success;

/// The meaning of one response for its request as a whole.
#[derive(Debug)]
pub(crate) enum Reading {
    /// The API accepted the request. The body may name single operations that it rejected.
    Accepted(ResponseBody),
    Rejected(Rejection),
    Unknown(Cause),
    NotSent(Cause),
}

/// Reads the status of a response, and the body of a success as `success` expects it.
pub(crate) fn read(response: &Response<Bytes>, success: Success) -> Reading {
    let (status, body) = (response.status(), response.body());
    let cause = |kind| Cause::from_response(kind, response, message(body));
    match status.as_u16() {
        200..=299 => read_success(body, success)
            .map_or_else(|| Reading::Unknown(not_json(response)), Reading::Accepted),
        300..=399 => Reading::NotSent(cause(Kind::Redirected(redirected_to(response)))),
        401 | 403 => Reading::NotSent(cause(Kind::Credentials)),
        // 408: the server may have read the request before its own timeout.
        408 => Reading::Unknown(cause(Kind::Status)),
        425 | 429 => Reading::NotSent(cause(Kind::Throttled)),
        400..=499 => Reading::Rejected(Rejection::new(response, &message(body))),
        _ => Reading::Unknown(cause(Kind::Status)),
    }
}

/// Returns whether a response says how its request ended: false for a success whose body is no
/// JSON object, which a gateway may have sent.
///
/// A 207 always does: where it names no operations, they are sent again one by one.
#[cfg(feature = "client")]
pub(crate) fn is_from_the_api(response: &Response<Bytes>, success: Success) -> bool {
    let status = response.status();
    !status.is_success()
        || status == http::StatusCode::MULTI_STATUS
        || read_success(response.body(), success).is_some()
}

/// Reads the body of a success, or returns `None` if it is not in the API's format.
fn read_success(body: &[u8], success: Success) -> Option<ResponseBody> {
    if success != Success::Object && body.trim_ascii().is_empty() {
        return Some(ResponseBody::default());
    }
    if success == Success::JsonOrNothing {
        let json = serde_json::from_slice::<IgnoredAny>(body);
        return json.is_ok().then(ResponseBody::default);
    }
    ResponseBody::read(body)
}

/// Returns the cause for a success that is not from the API.
///
/// It leaves out the body: a login page does not help the reader, and may name a person.
pub(crate) fn not_json(response: &Response<Bytes>) -> Cause {
    Cause::from_response(Kind::NotJson, response, String::new())
}

/// Returns the region to which a redirect points, if it is one of Customer.io's.
fn redirected_to(response: &Response<Bytes>) -> Option<Region> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Region::of_host(location.parse::<Uri>().ok()?.host()?)
}
