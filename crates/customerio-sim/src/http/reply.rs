use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde_json::json;

use crate::api::Refusal;

/// Marks a response in whose place the connection is to be dropped.
#[derive(Clone, Copy)]
struct Dropped;

/// The answer to whatever the API takes.
pub(super) fn done() -> Response {
    raw(StatusCode::OK, JSON, "{}\n")
}

/// The answer of forms.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("an answer of strings and numbers serializes");
    raw(status, JSON, body)
}

/// v1's envelope for people: one message.
pub(super) fn meta_error(refusal: &Refusal) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &json!({"meta": {"error": refusal.message}}),
    )
}

/// v1's envelope for events: a list of messages.
pub(super) fn meta_errors(refusal: &Refusal) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &json!({"meta": {"errors": [refusal.message]}}),
    )
}

/// v2's envelope for a request that is refused as a whole.
pub(super) fn errors(status: StatusCode, refusal: &Refusal) -> Response {
    json(status, &json!({"errors": [refusal]}))
}

/// v2's envelope for a batch of which some operations are refused.
pub(super) fn item_errors(refusals: &[(usize, Refusal)]) -> Response {
    #[derive(Serialize)]
    struct Item<'a> {
        batch_index: usize,
        #[serde(flatten)]
        refusal: &'a Refusal,
    }
    let items = refusals.iter().map(|(batch_index, refusal)| Item {
        batch_index: *batch_index,
        refusal,
    });
    json(
        StatusCode::MULTI_STATUS,
        &json!({"errors": items.collect::<Vec<_>>()}),
    )
}

/// The specification declares no body here.
pub(super) fn unauthorized() -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

pub(super) fn not_found() -> Response {
    json(
        StatusCode::NOT_FOUND,
        &json!({"meta": {"error": "not found"}}),
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

/// A page elsewhere whose name was made to mean this machine could read the books otherwise.
pub(super) fn not_for_this_host() -> Response {
    json(
        StatusCode::FORBIDDEN,
        &json!({"error": "the books are shown to localhost, 127.0.0.1 and [::1] only; use one of these names"}),
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

/// A status from the weather or a script, with an empty JSON object.
pub(super) fn scripted(status: StatusCode, pause: Option<u32>) -> Response {
    let response = raw(status, JSON, "{}\n");
    match pause {
        Some(seconds) => retry_after(response, seconds.into()),
        None => response,
    }
}

/// A response that is never to arrive. A server that does not know the mark fails on its body
/// instead.
pub(super) fn dropped() -> Response {
    let mut response = Response::new(Body::new(BrokenBody));
    response.extensions_mut().insert(Dropped);
    response
}

pub(crate) fn is_dropped(response: &Response) -> bool {
    response.extensions().get::<Dropped>().is_some()
}

pub(super) fn retry_after(mut response: Response, seconds: u64) -> Response {
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn raw(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, kind)], body.into()).into_response()
}

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
