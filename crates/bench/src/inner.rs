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

/// A service that is always ready and answers at once. Its clone costs what the clone of a hyper
/// client costs, since it clones one.
#[derive(Clone)]
pub(crate) struct Inner {
    #[expect(dead_code, reason = "it is here to be cloned")]
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
        // A body that is not empty, so that a permit has to go with it.
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"ok")))))
    }
}

/// A request as an API gets it: an address, two headers and a short body.
pub(crate) fn request() -> Request<Body> {
    Request::post("http://api.example.com/v1/things")
        .header("authorization", "Bearer 0123456789abcdef")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(b"{\"name\":\"a thing\"}")))
        .expect("the parts are valid")
}
