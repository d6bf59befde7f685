use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;

use super::exchange::BoxError;
use crate::{Credentials, Endpoint};

/// What satisfies every request: an accepted operation, and an account.
pub(crate) const ANSWER: Bytes = Bytes::from_static(br#"{"region":"us"}"#);

/// Takes every request and sends none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nothing;

impl Service<Request<Full<Bytes>>> for Nothing {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::new(ANSWER))))
    }
}

/// Returns where nothing is sent, as nobody.
pub(super) fn endpoint() -> Endpoint {
    let credentials = Credentials::new("disabled", "disabled").expect("neither is empty");
    Endpoint::new("http://localhost", credentials).expect("the loopback needs no TLS")
}
