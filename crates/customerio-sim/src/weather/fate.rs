use std::time::Duration;

use axum::http::StatusCode;

/// Everything that will happen to one request, settled when it arrives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fate {
    /// Before the counter.
    pub(crate) way_in: Duration,
    /// After the effect.
    pub(crate) way_out: Duration,
    pub(crate) mishap: Option<Mishap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Behind the counter.
    Failure(Failure),
    /// Answered in front of the counter.
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) when: When,
    pub(crate) instead: Instead,
}

/// What the client gets in place of the API's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// A success whose body is a page in HTML, as a captive portal gives it.
    Garbage,
    /// Nothing: the connection drops.
    Reset,
    Status {
        status: StatusCode,
        retry_after: Option<u32>,
    },
}

impl Mishap {
    pub(super) const fn reset(when: When) -> Self {
        Self::Failure(Failure {
            when,
            instead: Instead::Reset,
        })
    }

    pub(super) const fn garbage(when: When) -> Self {
        Self::Failure(Failure {
            when,
            instead: Instead::Garbage,
        })
    }

    pub(super) const fn status(when: When, status: StatusCode, retry_after: Option<u32>) -> Self {
        Self::Failure(Failure {
            when,
            instead: Instead::Status {
                status,
                retry_after,
            },
        })
    }
}

/// Where something breaks: before the API acted on the request, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API has not acted, but the counter has counted.
    BeforeEffect,
    /// The API has acted; only the client does not learn it.
    AfterEffect,
}
