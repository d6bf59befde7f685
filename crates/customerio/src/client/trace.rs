use std::future::Future;

use bytes::Bytes;
use http::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, debug_span};

use crate::Request;

/// The span of one request, with all its attempts.
pub(super) struct Trace(Span);

impl Trace {
    pub(super) fn start(request: &Request) -> Self {
        Self(debug_span!(
            "customerio.request",
            method = request.method().as_str(),
            route = request.route(),
            operations = request.len(),
            status = Empty,
        ))
    }

    pub(super) fn cover<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.instrument(self.0.clone())
    }

    pub(super) fn end(&self, response: Option<&Response<Bytes>>) {
        if let Some(response) = response {
            self.0.record("status", response.status().as_u16());
        }
    }
}

/// Tells how one attempt ended, and nothing of what was sent or answered.
pub(super) fn attempt(status: Option<u16>, may_have_arrived: bool) {
    debug!(
        name: "customerio.attempt",
        status = status,
        may_have_arrived = may_have_arrived,
        "an attempt ended"
    );
}
