//! The layers in real stacks: around a hyper client, in axum, and between the layers of tower-http.

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

/// Returns a network on which a clone of `app` serves every connection.
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

/// Responds to every request with 200 and a text.
fn greeting() -> Router {
    Router::new().fallback(any(|| async { "hello" }))
}

fn get() -> Request<Full<Bytes>> {
    Request::get("http://server/")
        .body(Full::default())
        .expect("a request")
}
