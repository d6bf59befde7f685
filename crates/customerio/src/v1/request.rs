use std::fmt;

use bytes::Bytes;
use http::Method;

/// One request of version 1.
#[derive(Clone)]
pub(crate) struct V1Request {
    pub(crate) method: Method,
    /// The path with names in place of values. It may be logged.
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) may_replay: bool,
    pub(crate) success: Success,
}

/// The expected body of a success. A response with another body does not count as a success: a
/// gateway may have sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Success {
    /// A JSON object.
    #[default]
    Object,
    /// A JSON object or nothing, as the API answers forms (204) and deletions.
    ObjectOrNothing,
    /// Any JSON or nothing, as the endpoints of the App API answer that have no type here.
    JsonOrNothing,
}

impl V1Request {
    pub(super) fn post(route: &'static str, path: String, body: Bytes) -> Self {
        Self {
            method: Method::POST,
            route,
            path,
            body: Some(body),
            may_replay: true,
            success: Success::Object,
        }
    }

    pub(super) fn put(route: &'static str, path: String, body: Bytes) -> Self {
        Self {
            method: Method::PUT,
            ..Self::post(route, path, body)
        }
    }

    pub(super) fn delete(route: &'static str, path: String) -> Self {
        Self {
            method: Method::DELETE,
            route,
            path,
            body: None,
            may_replay: true,
            success: Success::ObjectOrNothing,
        }
    }

    /// Marks the request as one that must not be replayed: each copy has an effect of its own.
    pub(super) fn not_replayed(self) -> Self {
        Self {
            may_replay: false,
            ..self
        }
    }
}

/// Leaves out path and body: both hold personal data.
impl fmt::Debug for V1Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("route", &self.route)
            .field("may_replay", &self.may_replay)
            .finish_non_exhaustive()
    }
}
