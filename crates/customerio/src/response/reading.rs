use bytes::Bytes;
use http::{Response, Uri, header};

use super::answer::Answer;
use super::body::words;
use super::cause::Kind;
use super::{Cause, Rejection};
use crate::Region;
use crate::v1::Success;

/// What one response says of the request as a whole.
#[derive(Debug)]
pub(crate) enum Reading {
    /// The API took the request; the body may name single operations that it did not take.
    Answered(Answer),
    Rejected(Rejection),
    Unknown(Cause),
    NotSent(Cause),
}

pub(crate) fn read(response: &Response<Bytes>, success: Success) -> Reading {
    let (status, body) = (response.status(), response.body());
    let cause = |kind| Cause::answered(kind, response, words(body));
    match status.as_u16() {
        200..=299 => answer(body, success)
            .map_or_else(|| Reading::Unknown(not_json(response)), Reading::Answered),
        300..=399 => Reading::NotSent(cause(Kind::Redirected(region(response)))),
        401 | 403 => Reading::NotSent(cause(Kind::Credentials)),
        408 => Reading::Unknown(cause(Kind::Status)),
        425 | 429 => Reading::NotSent(cause(Kind::Throttled)),
        400..=499 => Reading::Rejected(Rejection::new(response, &words(body))),
        _ => Reading::Unknown(cause(Kind::Status)),
    }
}

/// Returns whether a response can be settled by what it says, unlike a success whose body is no JSON object.
///
/// A 207 always can: what it leaves open is resolved by resending one by one.
#[cfg(feature = "client")]
pub(crate) fn is_of_the_api(response: &Response<Bytes>, success: Success) -> bool {
    let status = response.status();
    !status.is_success()
        || status == http::StatusCode::MULTI_STATUS
        || answer(response.body(), success).is_some()
}

/// Returns what a success says, or nothing if it is not of the form that the API gives it.
fn answer(body: &[u8], success: Success) -> Option<Answer> {
    let may_be_empty = success == Success::ObjectOrNothing;
    if may_be_empty && body.trim_ascii().is_empty() {
        return Some(Answer::default());
    }
    Answer::read(body)
}

/// Leaves out the body: a login page says nothing to the reader, and may name who logs in.
pub(crate) fn not_json(response: &Response<Bytes>) -> Cause {
    Cause::answered(Kind::NotJson, response, String::new())
}

fn region(response: &Response<Bytes>) -> Option<Region> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Region::of_host(location.parse::<Uri>().ok()?.host()?)
}
