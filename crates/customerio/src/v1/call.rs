use std::fmt;

use bytes::Bytes;
use http::Method;

use crate::{AnonymousEvent, Request};

/// Holds one request of version 1.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path with names in the place of values, which may be logged.
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) may_replay: bool,
    pub(crate) success: Success,
}

/// What the body of a success looks like. A success of another form is none: a proxy may have given it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Success {
    /// A JSON object.
    #[default]
    Object,
    /// A JSON object or nothing, as forms (204) and deletions answer.
    ObjectOrNothing,
}

impl Call {
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

    /// Says that the server cannot tell the request from its repetition.
    pub(super) fn repeats(self) -> Self {
        Self {
            may_replay: false,
            ..self
        }
    }
}

/// Shows neither path nor body: both hold a person's data.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("route", &self.route)
            .field("may_replay", &self.may_replay)
            .finish_non_exhaustive()
    }
}

impl From<&AnonymousEvent> for Request {
    fn from(event: &AnonymousEvent) -> Self {
        super::anonymous_event(event)
    }
}

impl From<AnonymousEvent> for Request {
    fn from(event: AnonymousEvent) -> Self {
        super::anonymous_event(&event)
    }
}
