//! The service and the request of every case that calls a layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower::Service;

pub(crate) type Body = Full<Bytes>;

/// A service that is always ready and answers at once. Cloning it clones a hyper client, which
/// decides the cost of a clone in practice.
#[derive(Clone)]
pub(crate) struct Inner {
    #[expect(dead_code, reason = "only its clone is measured")]
    client: Client<HttpConnector, Body>,
}

impl Inner {
    pub(crate) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { client }
    }
}

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        // The body is not empty: a concurrency limit must hold the permit until it ends.
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"ok")))))
    }
}

/// Returns a typical API request: a URL, two header fields and a short body.
pub(crate) fn request() -> Request<Body> {
    Request::post("http://api.example.com/v1/things")
        .header("authorization", "Bearer 0123456789abcdef")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(b"{\"name\":\"a thing\"}")))
        .expect("the parts are valid")
}
