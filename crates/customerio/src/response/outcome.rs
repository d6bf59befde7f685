use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Cause;
use super::header::request_id;
use crate::InvalidInput;

/// Says how one operation ended.
///
/// Customer.io applies what it accepted later, or silently not; so nothing here says "applied".
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The API took it.
    Accepted,
    /// It was refused, by this crate's checks or by the API, and will be refused again. It was not applied.
    Rejected(Rejection),
    /// It left and what became of it is not known. It may have been applied.
    Unknown(Cause),
    /// It was not sent, or the API turned the request away unread. It was not applied.
    NotSent(Cause),
}

impl Outcome {
    /// Returns whether the API took it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Returns whether its fate is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Returns whether it may have had an effect.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        matches!(self, Self::Accepted | Self::Unknown(_))
    }
}

impl From<InvalidInput> for Outcome {
    fn from(input: InvalidInput) -> Self {
        Self::Rejected(input.into())
    }
}

/// Says why an operation was refused, in this crate's or in the server's own words.
///
/// This crate's words name fields and sizes only. Of the server's, at most 1,000 bytes are kept, with control characters
/// escaped and, where a client sent the request, without the credentials. They may quote a person's id or value. There is
/// no code for the reason, so let logs hold the status and the [request id](Self::request_id) instead of the text, which
/// `Display` and `Debug` show.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejection {
    status: Option<StatusCode>,
    request_id: Option<Arc<str>>,
    reason: Arc<str>,
    input: Option<Arc<InvalidInput>>,
}

impl Rejection {
    pub(crate) fn new(response: &Response<Bytes>, reason: &str) -> Self {
        Self {
            status: Some(response.status()),
            request_id: request_id(response.headers()).map(Arc::from),
            reason: reason.into(),
            input: None,
        }
    }

    /// Returns the reason: at most 1,000 bytes, with control characters escaped. It may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns which input this crate's own checks refused, if they did.
    #[must_use]
    pub fn invalid_input(&self) -> Option<&InvalidInput> {
        self.input.as_deref()
    }

    /// Returns the status of the response, or nothing if this crate's own checks refused.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Returns the id that the response gave the request, as [`Cause::request_id`] does.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl From<InvalidInput> for Rejection {
    fn from(input: InvalidInput) -> Self {
        Self {
            status: None,
            request_id: None,
            reason: input.to_string().into(),
            input: Some(Arc::new(input)),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            None => write!(f, "refused before sending: {}", self.reason),
            Some(status) if self.reason.is_empty() => {
                write!(f, "rejected with status {}", status.as_u16())
            }
            Some(status) => write!(
                f,
                "rejected with status {}: {}",
                status.as_u16(),
                self.reason
            ),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejection({self})")
    }
}
