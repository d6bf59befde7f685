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
    /// Answered in front of the counter.
    Gateway,
    /// The connection drops.
    Reset(When),
    /// Answered in the API's place.
    Status {
        status: StatusCode,
        retry_after: Option<u32>,
        when: When,
    },
}

/// Where something breaks: before the API acted on the request, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API has not acted, but the counter has counted.
    BeforeEffect,
    /// The API has acted; only the client does not learn it.
    AfterEffect,
}
