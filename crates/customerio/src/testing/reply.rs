use std::io;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use crate::client::RESPONSE;

/// The reply to one attempt of a [`scripted`](super::scripted) client.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply(Result<Response<Full<Bytes>>, io::ErrorKind>);

impl Reply {
    /// The API accepts the request.
    pub fn accepted() -> Self {
        Self::status(StatusCode::OK, RESPONSE)
    }

    /// The API rejects the request (400) with this message.
    pub fn rejected(reason: &str) -> Self {
        let body = json!({"errors": [{"message": reason}]});
        Self::status(StatusCode::BAD_REQUEST, body.to_string())
    }

    /// The API throttles the request (429) and asks to wait for `seconds`.
    pub fn throttled(seconds: u32) -> Self {
        let mut response = response(StatusCode::TOO_MANY_REQUESTS, Bytes::new());
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Self(Ok(response))
    }

    /// Any other response.
    pub fn status(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self(Ok(response(status, body.into())))
    }

    /// The connection is reset after the request was sent. Its outcome is unknown.
    pub fn lost() -> Self {
        Self(Err(io::ErrorKind::ConnectionReset))
    }

    pub(super) fn into_result(self) -> io::Result<Response<Full<Bytes>>> {
        self.0.map_err(io::Error::from)
    }
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
