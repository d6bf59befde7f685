//! Reporting webhooks: signatures, events and the layer.

mod event;
mod layer;
mod mutations;
mod secrets;
mod signature;
mod simulated;

use bytes::Bytes;
use customerio::webhooks::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;

use crate::support::KEY;

const NOW: u64 = 1_764_331_200;

fn key() -> SigningKey {
    SigningKey::new(KEY).unwrap()
}

fn headers(timestamp: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> HeaderMap {
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(TIMESTAMP_HEADER, value(timestamp.as_ref()));
    headers.insert(SIGNATURE_HEADER, value(signature.as_ref()));
    headers
}

/// Returns a request with the signature of `signed` and the body `body`.
fn request<B>(signed: impl AsRef<[u8]>, body: B) -> Request<B> {
    let mut request = Request::post("/webhooks").body(body).unwrap();
    *request.headers_mut() = headers(NOW.to_string(), key().sign(NOW, signed));
    request
}

fn full(text: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(text.into())
}
