//! The layers in the stacks that they are made for: around a hyper client, in axum, between tower-http's layers.

mod axum;
mod hyper;
mod tower_http;

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use ::axum::Router;
use ::axum::routing::any;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Answers everything with 200 and this text.
fn greeting() -> Router {
    Router::new().fallback(any(|| async { "hello" }))
}

fn get() -> Request<Full<Bytes>> {
    Request::get("http://server/")
        .body(Full::default())
        .expect("a request")
}
