//! Services without a limit: the least that a limiter whose requests wait in their futures needs.

use std::fmt::Debug;
use std::hint::black_box;

use http::{Request, Response};
use tower::{Service, ServiceExt, service_fn};

use crate::inner::{Body, Inner};
use crate::measure::now;

/// Clones the service into the future, as a request that may wait there needs one.
pub(crate) fn cloned(inner: Inner) -> impl Service<Request<Body>, Error: Debug> {
    service_fn(move |request| inner.clone().oneshot(request))
}

/// Also reads the clock at the departure and at the answer, as a limiter that measures the round
/// trip does.
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
