use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::header::{request_id, retry_after};
use crate::Region;

/// Says why an operation was not sent, or why its fate is unknown.
///
/// Cloning is cheap. You must not depend on the exact words; ask the predicates.
///
/// `Display` and `Debug` show at most 1,000 bytes of what the server said, with control characters
/// escaped and, where a client sent the request, without the credentials. They may quote a person's
/// id or value. There is no code for the reason, so let logs hold the predicates, the status and
/// the [request id](Self::request_id) instead of the text.
#[derive(Clone)]
pub struct Cause(Arc<Inner>);

struct Inner {
    kind: Kind,
    status: Option<StatusCode>,
    request_id: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// What the server said: bounded and escaped.
    words: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Inner {
    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            status: None,
            request_id: None,
            retry_after: None,
            words: String::new(),
            source: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Credentials,
    #[cfg(feature = "client")]
    Deadline,
    Failed,
    FollowsUnknown,
    #[cfg(feature = "client")]
    HeldTooLong,
    #[cfg(feature = "client")]
    NoTunnel,
    NotJson,
    #[cfg(feature = "client")]
    ProxyCredentials,
    Redirected(Option<Region>),
    Status,
    Stopped,
    Throttled,
    #[cfg(feature = "client")]
    Untrusted,
    #[cfg(feature = "client")]
    WaitRefused,
}

impl Cause {
    /// Wraps your own reason; it becomes the [`source`](Error::source).
    pub fn new(reason: impl Error + Send + Sync + 'static) -> Self {
        Self::boxed(Kind::Failed, Box::new(reason))
    }

    pub(super) fn boxed(kind: Kind, reason: Box<dyn Error + Send + Sync>) -> Self {
        Self(Arc::new(Inner {
            source: Some(reason),
            ..Inner::of(kind)
        }))
    }

    pub(super) fn of(kind: Kind) -> Self {
        Self(Arc::new(Inner::of(kind)))
    }

    /// Says that an earlier operation of the same lane ended unknown, so this one must not overtake
    /// it.
    #[must_use]
    pub fn follows_unknown() -> Self {
        Self::of(Kind::FollowsUnknown)
    }

    /// Says that the caller stopped before the operation had its outcome.
    #[must_use]
    pub fn stopped() -> Self {
        Self::of(Kind::Stopped)
    }

    /// Says that the answer tells that the account is held elsewhere than the request went to.
    #[cfg(feature = "client")]
    pub(crate) fn other_region(response: &Response<Bytes>, region: Region) -> Self {
        Self::answered(Kind::Redirected(Some(region)), response, String::new())
    }

    pub(crate) fn answered(kind: Kind, response: &Response<Bytes>, words: String) -> Self {
        Self(Arc::new(Inner {
            status: Some(response.status()),
            request_id: request_id(response.headers()),
            retry_after: retry_after(response.headers()),
            words,
            ..Inner::of(kind)
        }))
    }

    /// Returns whether the API refused the credentials (401, 403): the operation itself may be
    /// fine.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        self.0.kind == Kind::Credentials
    }

    /// Returns whether the API turned requests away because there were too many (425, 429).
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.0.kind == Kind::Throttled
    }

    /// Returns whether sending again later may succeed without anybody's doing: the server failed
    /// or turned requests away because there were too many, or no answer came.
    ///
    /// It says nothing of whether sending again is safe: see
    /// [`Request::may_replay`](crate::Request::may_replay).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, Kind::Failed | Kind::Status | Kind::Throttled)
    }

    /// Returns whether the operation was held back only because an earlier one of its request or
    /// its lane ended unknown.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.0.kind == Kind::FollowsUnknown
    }

    /// Returns whether the deadline of the call passed first.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        self.0.kind == Kind::Deadline
    }

    /// Returns whether the server held the call back for longer than it may.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_held_too_long(&self) -> bool {
        self.0.kind == Kind::HeldTooLong
    }

    /// Returns whether the turn was too far away, or too many others waited for theirs.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_wait_refused(&self) -> bool {
        self.0.kind == Kind::WaitRefused
    }

    /// Returns whether the API sent the request elsewhere (3xx), which is never followed, or said
    /// that the account is held elsewhere.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        matches!(self.0.kind, Kind::Redirected(_))
    }

    /// Returns the region to set instead, if the API named one.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        match self.0.kind {
            Kind::Redirected(region) => region,
            _ => None,
        }
    }

    /// Returns the status of the response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the id that the response gave the request (`X-Request-Id`), for the vendor's
    /// support.
    ///
    /// At most 100 bytes of letters, digits and `-._:+=`. Another form is left out, since it may
    /// repeat what was sent.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns how long after it the last response wants no further request, if it says so in
    /// seconds, or by a date beside its own; at most thirty years.
    ///
    /// A 429 without it may be a daily quota: trying again soon will not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "the credentials were refused; check site id, API key and region",
            #[cfg(feature = "client")]
            Self::Deadline => "the deadline of the call passed",
            Self::Failed => "the request failed",
            Self::FollowsUnknown => "an earlier operation about the same person ended unknown",
            #[cfg(feature = "client")]
            Self::HeldTooLong => "the server held the request back for too long",
            #[cfg(feature = "client")]
            Self::NoTunnel => {
                "the proxy opened no tunnel; check its URL, and whether it lets `CONNECT` pass to the API's host"
            }
            Self::NotJson => "the answer was not of the API's form; check the base URL and proxies",
            #[cfg(feature = "client")]
            Self::ProxyCredentials => {
                "the proxy wants credentials, or others; put user and password into its URL"
            }
            Self::Redirected(Some(Region::Eu)) => {
                "the account is in another region; set the region to `eu`"
            }
            Self::Redirected(Some(Region::Us)) => {
                "the account is in another region; set the region to `us`"
            }
            Self::Redirected(None) => "the request was redirected; check the base URL",
            Self::Status => "the server failed",
            Self::Stopped => "sending was stopped",
            Self::Throttled => "the request was throttled to the end",
            #[cfg(feature = "client")]
            Self::Untrusted => {
                "the server's certificate is of an unknown authority; if it is yours, add it with `extra_roots` or to the \
                 system's"
            }
            #[cfg(feature = "client")]
            Self::WaitRefused => "the wait for a turn was refused",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        if let Some(status) = self.0.status {
            write!(f, " (status {})", status.as_u16())?;
        }
        if !self.0.words.is_empty() {
            write!(f, ": {}", self.0.words)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("kind", &self.0.kind)
            .field("status", &self.0.status)
            .field("words", &self.0.words)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
