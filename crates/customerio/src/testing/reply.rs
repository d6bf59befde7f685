use std::io;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use crate::client::RESPONSE;

/// What a scripted client is answered, once.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply(Result<Response<Full<Bytes>>, io::ErrorKind>);

impl Reply {
    /// The API takes the request.
    pub fn accepted() -> Self {
        Self::status(StatusCode::OK, RESPONSE)
    }

    /// The API refuses the request (400) with these words.
    pub fn rejected(reason: &str) -> Self {
        let body = json!({"errors": [{"message": reason}]});
        Self::status(StatusCode::BAD_REQUEST, body.to_string())
    }

    /// The API turns the request away (429) and asks to wait so many seconds.
    pub fn throttled(seconds: u32) -> Self {
        let mut response = response(StatusCode::TOO_MANY_REQUESTS, Bytes::new());
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Self(Ok(response))
    }

    /// Any other answer.
    pub fn status(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self(Ok(response(status, body.into())))
    }

    /// The connection breaks after the request left: what became of it is not known.
    pub fn lost() -> Self {
        Self(Err(io::ErrorKind::ConnectionReset))
    }

    pub(super) fn play(self) -> io::Result<Response<Full<Bytes>>> {
        self.0.map_err(io::Error::from)
    }
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
