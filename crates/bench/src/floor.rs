//! What a limiter cannot do without: no limit, only the way that a request takes which may have to
//! wait.

use std::fmt::Debug;
use std::hint::black_box;

use http::{Request, Response};
use tower::{Service, ServiceExt, service_fn};

use crate::inner::{Body, Inner};
use crate::measure::now;

/// A request that waits in its future takes a service along.
pub(crate) fn cloned(inner: Inner) -> impl Service<Request<Body>, Error: Debug> {
    service_fn(move |request| inner.clone().oneshot(request))
}

/// A round trip is known from the moments of the departure and of the answer.
pub(crate) fn timed(
    inner: Inner,
) -> impl Service<Request<Body>, Response = Response<Body>, Error: Debug> + Clone {
    service_fn(move |request| {
        let inner = inner.clone();
        async move {
            black_box(now());
            let response = inner.oneshot(request).await;
            black_box(now());
            response
        }
    })
}
