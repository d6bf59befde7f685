//! The layers in the stacks that they are made for: around a hyper client, in axum, between
//! tower-http's layers.

mod axum;
mod http2;
mod hyper;
mod keep_alive;
mod tower_http;
mod upload;

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use ::axum::Router;
use ::axum::routing::any;
use ::hyper::server::conn::http1;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use support::Dial;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A network on which every connection is served by a clone of `app`.
fn serving(app: Router) -> Dial {
    Dial::new(move || {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(app.clone());
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).auto_date_header(false);
        tokio::spawn(server.serve_connection(TokioIo::new(far), service));
        Ok(near)
    })
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
