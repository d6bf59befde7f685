use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde_json::json;

use crate::api::Rejection;
use crate::limit::Limit;

/// Marks a response: the server drops the connection in place of sending it.
#[derive(Clone, Copy)]
struct Dropped;

/// The response to an accepted request.
pub(super) fn done() -> Response {
    raw(StatusCode::OK, JSON, "{}\n")
}

/// A response without a body.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("a response of strings and numbers serializes");
    raw(status, JSON, body)
}

/// The envelope of v1 for people: one message.
pub(super) fn meta_error(rejection: &Rejection) -> Response {
    meta_error_with(StatusCode::BAD_REQUEST, rejection)
}

/// The envelope of the App API for transactional messages is that of v1 for people.
pub(super) fn meta_error_with(status: StatusCode, rejection: &Rejection) -> Response {
    json(status, &json!({"meta": {"error": rejection.message}}))
}

/// The envelope of v1 for devices, events, forms and segments: a list of messages.
pub(super) fn meta_errors(rejection: &Rejection) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &json!({"meta": {"errors": [rejection.message]}}),
    )
}

/// The envelope of v2 for a request that is rejected as a whole.
pub(super) fn errors(status: StatusCode, rejection: &Rejection) -> Response {
    json(status, &json!({"errors": [rejection]}))
}

/// The envelope of v2 for a batch with rejected operations.
pub(super) fn item_errors(rejections: &[(usize, Rejection)]) -> Response {
    #[derive(Serialize)]
    struct Item<'a> {
        batch_index: usize,
        #[serde(flatten)]
        rejection: &'a Rejection,
    }
    let items = rejections.iter().map(|(batch_index, rejection)| Item {
        batch_index: *batch_index,
        rejection,
    });
    json(
        StatusCode::MULTI_STATUS,
        &json!({"errors": items.collect::<Vec<_>>()}),
    )
}

/// Without a body: the specification declares none.
pub(super) fn unauthorized() -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

pub(super) fn not_found() -> Response {
    json(
        StatusCode::NOT_FOUND,
        &json!({"meta": {"error": "not found"}}),
    )
}

/// The envelope of the App API.
pub(super) fn app_error(status: StatusCode, detail: &str) -> Response {
    let error = json!({"detail": detail, "status": status.as_str()});
    json(status, &json!({"errors": [error]}))
}

pub(super) fn app_not_found() -> Response {
    app_error(StatusCode::NOT_FOUND, "not found")
}

/// A record of the App API as the only member of a response.
pub(super) fn member(name: &str, record: Option<impl Serialize>) -> Response {
    match record {
        Some(record) => json(StatusCode::OK, &json!({ name: record })),
        None => app_not_found(),
    }
}

/// A 429 to a trigger that does not fit into the queue.
pub(super) fn queue_full(wait: Option<Duration>) -> Response {
    let response = app_error(
        StatusCode::TOO_MANY_REQUESTS,
        "too many triggers wait to be processed",
    );
    match wait {
        Some(wait) => retry_after(response, whole_seconds(wait)),
        None => response,
    }
}

pub(super) fn no_such_record() -> Response {
    json(StatusCode::NOT_FOUND, &json!({"error": "no such record"}))
}

pub(super) fn method_not_allowed() -> Response {
    json(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"meta": {"error": "method not allowed"}}),
    )
}

pub(super) fn too_long() -> Response {
    json(
        StatusCode::PAYLOAD_TOO_LARGE,
        &json!({"meta": {"error": "request body is too long"}}),
    )
}

pub(super) fn too_slow() -> Response {
    json(
        StatusCode::REQUEST_TIMEOUT,
        &json!({"meta": {"error": "request body took too long"}}),
    )
}

pub(super) fn not_for_this_host() -> Response {
    json(
        StatusCode::FORBIDDEN,
        &json!({
            "error": "records are shown to localhost, 127.0.0.1 and [::1] only; \
                      use one of these names"
        }),
    )
}

pub(super) fn bad_gateway() -> Response {
    raw(
        StatusCode::BAD_GATEWAY,
        "text/html",
        "<html><head><title>502 Bad Gateway</title></head></html>\n",
    )
}

pub(super) fn garbage() -> Response {
    raw(
        StatusCode::OK,
        "text/html",
        "<html><head><title>Welcome to the guest network</title></head></html>\n",
    )
}

/// A status that a fault or a script injects, with an empty JSON object.
pub(super) fn fault(status: StatusCode, wait: Option<u32>) -> Response {
    let response = raw(status, JSON, "{}\n");
    match wait {
        Some(seconds) => retry_after(response, seconds.into()),
        None => response,
    }
}

/// A response that must not arrive. A server that does not know the mark fails on its body instead.
pub(super) fn dropped() -> Response {
    let mut response = Response::new(Body::new(BrokenBody));
    response.extensions_mut().insert(Dropped);
    response
}

pub(crate) fn is_dropped(response: &Response) -> bool {
    response.extensions().get::<Dropped>().is_some()
}

/// A 429 that names the limit. `wait` is the time until the next request fits; with it, the
/// response has a `Retry-After` of whole seconds, rounded up, at least one.
pub(super) fn throttled(limit: Option<&Limit>, wait: Option<Duration>) -> Response {
    let detail = limit.map_or_else(String::new, |limit| format!("rate limited to {limit}"));
    let body = json!({"errors": [{"detail": detail, "status": "429"}]});
    let response = json(StatusCode::TOO_MANY_REQUESTS, &body);
    match wait {
        Some(wait) => retry_after(response, whole_seconds(wait)),
        None => response,
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + started).max(1)
}

fn retry_after(mut response: Response, seconds: u64) -> Response {
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn raw(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, kind)], body.into()).into_response()
}

/// A body that fails on its first read.
struct BrokenBody;

impl hyper::body::Body for BrokenBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wait_ms: u64, expected: u64) {
        assert_eq!(
            whole_seconds(Duration::from_millis(wait_ms)),
            expected,
            "{wait_ms} ms"
        );
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        check(0, 1);
        check(1, 1);
        check(1_000, 1);
        check(1_001, 2);
        check(60_000, 60);
    }
}
