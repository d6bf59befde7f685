use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;

use super::attempt::BoxError;
use crate::app::{AppCredentials, AppEndpoint};
use crate::{Credentials, Endpoint};

/// A response that every request accepts: the region of an account, the delivery of a message and
/// the number of a trigger.
pub(crate) const RESPONSE: Bytes =
    Bytes::from_static(br#"{"region":"us","delivery_id":"disabled","id":0}"#);

/// A service that accepts every request and sends none.
#[derive(Clone, Copy, Debug)]
pub(super) struct DisabledApi;

impl Service<Request<Full<Bytes>>> for DisabledApi {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::new(RESPONSE))))
    }
}

/// Returns the endpoint of a disabled client. Nothing is sent there.
pub(super) fn endpoint() -> Endpoint {
    let credentials = Credentials::new("disabled", "disabled").expect("neither is empty");
    Endpoint::new("http://localhost", credentials).expect("the loopback needs no TLS")
}

/// Returns the endpoint of a disabled client for the App API.
pub(super) fn app_endpoint() -> AppEndpoint {
    let credentials = AppCredentials::new("disabled").expect("it is not empty");
    AppEndpoint::new("http://localhost", credentials).expect("the loopback needs no TLS")
}
