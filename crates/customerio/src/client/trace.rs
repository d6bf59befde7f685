//! The span and the events of a request; without feature `tracing` they cost nothing.

pub(super) use self::enabled_or_not::{Trace, attempt};

#[cfg(feature = "tracing")]
mod enabled_or_not {
    use std::future::Future;

    use bytes::Bytes;
    use http::{Method, Response};
    use tracing::field::Empty;
    use tracing::{Instrument, Span, debug, debug_span};

    /// The span of one request with all its attempts.
    pub(in crate::client) struct Trace(Span);

    impl Trace {
        pub(in crate::client) fn start(method: &Method, route: &str, operations: usize) -> Self {
            Self(debug_span!(
                "customerio.request",
                method = method.as_str(),
                route = route,
                operations = operations,
                status = Empty,
            ))
        }

        pub(in crate::client) fn instrument<F: Future>(
            &self,
            future: F,
        ) -> impl Future<Output = F::Output> + use<F> {
            future.instrument(self.0.clone())
        }

        pub(in crate::client) fn record_status(&self, response: Option<&Response<Bytes>>) {
            if let Some(response) = response {
                self.0.record("status", response.status().as_u16());
            }
        }
    }

    /// Reports the end of an attempt, without personal data.
    pub(in crate::client) fn attempt(status: Option<u16>, may_have_arrived: bool) {
        debug!(
            name: "customerio.attempt",
            status = status,
            may_have_arrived = may_have_arrived,
            "an attempt ended"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod enabled_or_not {
    use std::future::Future;

    use bytes::Bytes;
    use http::{Method, Response};

    pub(in crate::client) struct Trace;

    impl Trace {
        pub(in crate::client) fn start(_: &Method, _: &str, _: usize) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "it has the signature of the other one")]
        pub(in crate::client) fn instrument<F: Future>(&self, future: F) -> F {
            future
        }

        #[expect(clippy::unused_self, reason = "it has the signature of the other one")]
        pub(in crate::client) fn record_status(&self, _: Option<&Response<Bytes>>) {}
    }

    pub(in crate::client) fn attempt(_: Option<u16>, _: bool) {}
}
