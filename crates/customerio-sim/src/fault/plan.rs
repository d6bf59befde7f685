use std::time::Duration;

use axum::http::StatusCode;

/// The delays and the fault of one request, decided when its head arrives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// The delay before the counter.
    pub(crate) inbound: Duration,
    /// The delay of the response.
    pub(crate) outbound: Duration,
    pub(crate) fault: Option<Fault>,
}

/// A request meets at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The counter counts the request, and the client gets something else than the API's response.
    Failure(Failure),
    /// A gateway responds. The request never reaches the counter.
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) point: FailurePoint,
    pub(crate) replacement: Replacement,
}

/// The client gets this in place of the API's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// A 200 with a page in HTML, as a captive portal sends it.
    Garbage,
    /// No response: the connection is dropped.
    Reset,
    Status {
        status: StatusCode,
        /// In seconds.
        retry_after: Option<u32>,
    },
}

impl Fault {
    pub(super) const fn reset(point: FailurePoint) -> Self {
        Self::failure(point, Replacement::Reset)
    }

    pub(super) const fn garbage(point: FailurePoint) -> Self {
        Self::failure(point, Replacement::Garbage)
    }

    pub(super) const fn status(
        point: FailurePoint,
        status: StatusCode,
        retry_after: Option<u32>,
    ) -> Self {
        let replacement = Replacement::Status {
            status,
            retry_after,
        };
        Self::failure(point, replacement)
    }

    const fn failure(point: FailurePoint, replacement: Replacement) -> Self {
        Self::Failure(Failure { point, replacement })
    }
}

/// The point at which a request fails: before or after the API has applied it.
///
/// The counter has counted the request in both cases. The client cannot tell the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePoint {
    /// The API has not applied the request.
    BeforeEffect,
    /// The API has applied the request, and its response is lost.
    AfterEffect,
}
