use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Cause;
use super::header::request_id;
use crate::InvalidInput;

/// The outcome of one operation: accepted, rejected, unknown or not sent.
///
/// "Accepted" does not mean "applied": Customer.io applies an accepted operation later, and drops
/// some without a word.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The API accepted the operation.
    Accepted,
    /// This crate's checks or the API rejected the operation, and will reject it again. It was not
    /// applied.
    Rejected(Rejection),
    /// The operation was sent, and no response says how it ended. It may have been applied.
    Unknown(Cause),
    /// The operation was not sent, or the API throttled the request. It was not applied.
    NotSent(Cause),
}

impl Outcome {
    /// Returns whether the API accepted the operation.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Returns why the outcome is unknown, or why the operation was not sent.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Accepted | Self::Rejected(_) => None,
            Self::Unknown(cause) | Self::NotSent(cause) => Some(cause),
        }
    }

    /// Returns whether the API has accepted or rejected the operation itself. A server without this
    /// path and a failing server answer without regard to the operation.
    #[must_use]
    pub fn is_about_operation(&self) -> bool {
        match self {
            Self::Accepted => true,
            Self::Rejected(rejection) => rejection.status().is_some_and(|status| {
                status.is_success() || matches!(status.as_u16(), 400 | 413 | 422)
            }),
            Self::Unknown(_) | Self::NotSent(_) => false,
        }
    }

    /// Returns whether the outcome comes from an answer that is not a transient failure: some
    /// server is up, whether it is the API or not.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Accepted | Self::Rejected(_) => true,
            Self::Unknown(cause) | Self::NotSent(cause) => {
                cause.status().is_some() && !cause.is_transient()
            }
        }
    }

    /// Returns whether the outcome is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Replaces "not sent" by "unknown" if an earlier attempt may have arrived.
    pub(crate) fn unless_arrived(self, may_have_arrived: bool) -> Self {
        match self {
            Self::NotSent(cause) if may_have_arrived => Self::Unknown(cause),
            outcome => outcome,
        }
    }

    /// Replaces the cause by the one of an operation that a spool keeps.
    #[cfg(feature = "queue")]
    pub(crate) fn kept(self) -> Self {
        match self {
            Self::Unknown(_) => Self::Unknown(Cause::kept()),
            Self::NotSent(_) => Self::NotSent(Cause::kept()),
            Self::Accepted | Self::Rejected(_) => self,
        }
    }

    /// Returns whether the operation may have had an effect: true for accepted and unknown.
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

/// The reason why an operation was rejected, in the words of this crate or of the server.
///
/// # Personal data
///
/// This crate's words name fields and sizes only. The server's text is cut to 1,000 bytes and
/// control characters are escaped. If a [`Client`](crate#features) sent the request, the
/// credentials are redacted. The text may quote a person's id or an attribute's value, and
/// `Display` and `Debug` show it. Log the status and the [request id](Self::request_id) instead.
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

    /// Returns the reason: at most 1,000 bytes, with control characters escaped. It is empty if the
    /// server gave none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the input that this crate's checks rejected, if they did.
    #[must_use]
    pub fn invalid_input(&self) -> Option<&InvalidInput> {
        self.input.as_deref()
    }

    /// Returns the status of the response, or `None` if this crate's checks rejected the input.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Returns the request id of the response, as [`Cause::request_id`] does.
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
            None => write!(f, "rejected before sending: {}", self.reason),
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
