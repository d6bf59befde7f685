use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

#[cfg(feature = "client")]
use super::body::message;
use super::header::{request_id, retry_after};
use crate::Region;

/// The reason why an operation was not sent, or why its outcome is unknown.
///
/// Cloning is cheap. The exact text may change in any release: use the predicates.
///
/// # Personal data
///
/// `Display` and `Debug` show at most 1,000 bytes of the server's text, with control characters
/// escaped. If a [`Client`](crate#features) sent the request, the credentials are redacted. The
/// text may quote a person's id or an attribute's value. Log the predicates, the status and the
/// [request id](Self::request_id) instead.
#[derive(Clone)]
pub struct Cause(Arc<Inner>);

struct Inner {
    kind: Kind,
    status: Option<StatusCode>,
    request_id: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// The server's text: bounded and escaped.
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Inner {
    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            status: None,
            request_id: None,
            retry_after: None,
            message: String::new(),
            source: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg(feature = "queue")]
    Canceled,
    Credentials,
    /// The daily quota of an endpoint is used up, and whether the server said until when.
    #[cfg(feature = "client")]
    DailyQuota {
        is_reset_known: bool,
    },
    #[cfg(feature = "client")]
    Deadline,
    #[cfg(feature = "queue")]
    Dropped,
    #[cfg(feature = "queue")]
    Expired,
    Failed,
    FollowsUnknown,
    #[cfg(feature = "queue")]
    Kept,
    #[cfg(feature = "spool")]
    MaybeKept,
    /// The client has no credentials for the API; this environment variable would hold them.
    #[cfg(feature = "client")]
    MissingCredentials(&'static str),
    #[cfg(feature = "client")]
    PausedTooLong,
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
    WaitRejected,
}

impl Cause {
    /// Creates a cause from an error of your own, which becomes the [`source`](Error::source).
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

    /// Creates the cause of an operation that was not sent because an earlier one of the same lane
    /// has an unknown outcome.
    #[must_use]
    pub fn follows_unknown() -> Self {
        Self::of(Kind::FollowsUnknown)
    }

    /// Creates the cause of an operation that was not sent because the caller stopped.
    #[must_use]
    pub fn stopped() -> Self {
        Self::of(Kind::Stopped)
    }

    #[cfg(feature = "queue")]
    pub(crate) fn canceled() -> Self {
        Self::of(Kind::Canceled)
    }

    #[cfg(feature = "queue")]
    pub(crate) fn dropped() -> Self {
        Self::of(Kind::Dropped)
    }

    #[cfg(feature = "queue")]
    pub(crate) fn expired() -> Self {
        Self::of(Kind::Expired)
    }

    #[cfg(feature = "queue")]
    pub(crate) fn kept() -> Self {
        Self::of(Kind::Kept)
    }

    /// Creates the cause of an operation whose commit to the spool failed.
    #[cfg(feature = "spool")]
    pub(crate) fn maybe_kept(error: impl Error + Send + Sync + 'static) -> Self {
        Self::boxed(Kind::MaybeKept, Box::new(error))
    }

    /// Creates the cause of a response that names another region than the request was sent to.
    #[cfg(feature = "client")]
    pub(crate) fn other_region(response: &Response<Bytes>, region: Region) -> Self {
        Self::from_response(Kind::Redirected(Some(region)), response, String::new())
    }

    pub(crate) fn from_response(kind: Kind, response: &Response<Bytes>, message: String) -> Self {
        Self(Arc::new(Inner {
            status: Some(response.status()),
            request_id: request_id(response.headers()),
            retry_after: retry_after(response.headers()),
            message,
            ..Inner::of(kind)
        }))
    }

    /// Creates the cause of a request to an endpoint whose daily quota is used up. `response` is
    /// the one that said so, if this request got it.
    #[cfg(feature = "client")]
    pub(crate) fn daily_quota(
        response: Option<&Response<Bytes>>,
        is_reset_known: bool,
        closed: Duration,
    ) -> Self {
        let kind = Kind::DailyQuota { is_reset_known };
        Self(Arc::new(Inner {
            status: response.map(Response::status),
            request_id: response.and_then(|response| request_id(response.headers())),
            retry_after: Some(closed),
            message: response.map_or_else(String::new, |response| message(response.body())),
            ..Inner::of(kind)
        }))
    }

    /// Returns whether the API rejected the credentials (401, 403), or the client has none for it.
    /// The operation itself may be valid.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        match self.0.kind {
            Kind::Credentials => true,
            #[cfg(feature = "client")]
            Kind::MissingCredentials(_) => true,
            _ => false,
        }
    }

    /// Returns whether the daily quota of the endpoint is used up. The request was not sent, or had
    /// no effect. [`retry_after`](Self::retry_after) is the time until the client asks again.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_daily_quota(&self) -> bool {
        matches!(self.0.kind, Kind::DailyQuota { .. })
    }

    /// Returns whether the last attempt was throttled (425, 429).
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.0.kind == Kind::Throttled
    }

    /// Returns whether a later attempt may succeed without a change: the server failed, it
    /// throttled the request, or no response came.
    ///
    /// Whether another attempt is safe is another question: see
    /// [`Request::may_replay`](crate::Request::may_replay).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, Kind::Failed | Kind::Status | Kind::Throttled)
    }

    /// Returns whether every request fails for a reason that waiting does not change: the
    /// credentials, a redirect or another region, a proxy or a certificate.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        match self.0.kind {
            Kind::Credentials | Kind::Redirected(_) => true,
            #[cfg(feature = "client")]
            Kind::MissingCredentials(_) => true,
            #[cfg(feature = "client")]
            Kind::NoTunnel | Kind::ProxyCredentials | Kind::Untrusted => true,
            _ => false,
        }
    }

    /// Returns whether a success was not from the API.
    pub(crate) fn is_not_json(&self) -> bool {
        self.0.kind == Kind::NotJson
    }

    /// Returns whether the operation was not sent only because an earlier one of its request or its
    /// lane has an unknown outcome.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.0.kind == Kind::FollowsUnknown
    }

    /// Returns whether the deadline of the call passed before a response came.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        self.0.kind == Kind::Deadline
    }

    /// Returns whether the server paused the call for longer than
    /// [`max_server_pause`](crate::client::ClientBuilder::max_server_pause).
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_paused_too_long(&self) -> bool {
        self.0.kind == Kind::PausedTooLong
    }

    /// Returns whether the client's rate limiter rejected the wait: the departure was too far away,
    /// or too many requests were queued.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn is_wait_rejected(&self) -> bool {
        self.0.kind == Kind::WaitRejected
    }

    /// Returns whether the operation was canceled in a queue, alone or with all others.
    #[cfg(feature = "queue")]
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.0.kind == Kind::Canceled
    }

    /// Returns whether a full queue dropped the operation for a newer one.
    #[cfg(feature = "queue")]
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.0.kind == Kind::Dropped
    }

    /// Returns whether the operation waited in a queue for longer than its `max_age`.
    #[cfg(feature = "queue")]
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.0.kind == Kind::Expired
    }

    /// Returns whether the queue ended before the operation did, and its spool keeps it.
    ///
    /// The next queue on the spool sends it. If it was in flight, it is sent again, or becomes a
    /// dead letter if it [must not be](crate::Operation::may_replay) sent twice.
    ///
    /// After a failure of the disk, the operations that were being written have a cause of their
    /// own, `may_be_kept`: it is open whether they are in the spool.
    #[cfg(feature = "queue")]
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.kind == Kind::Kept
    }

    /// Returns whether the disk failed while the operation was written, so that the spool may keep
    /// it. This queue has not sent it. The error of the spool is the [`source`](Error::source).
    ///
    /// If it is in the spool, the next queue sends it. An operation that is enqueued again, with
    /// another id, would then be sent twice. Keep its id, or look into the spool first.
    #[cfg(feature = "spool")]
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        self.0.kind == Kind::MaybeKept
    }

    /// Returns whether the sender was stopped: the queue was drained up to its deadline, or its
    /// worker was dropped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.kind == Kind::Stopped
    }

    /// Returns whether the API redirected the request (3xx), or named another region for the
    /// account. Redirects are never followed.
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

    /// Returns the request id of the response (`X-Request-Id`), for Customer.io's support.
    ///
    /// It has at most 100 bytes: letters, digits and `-._:+=`. An id with any other character is
    /// dropped, since it may repeat a part of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the `Retry-After` of the last response, counted from that response; at most thirty
    /// years.
    ///
    /// A date counts from the `Date` of the response, and is ignored without one. A 429 without
    /// `Retry-After` may be a daily quota: a new attempt soon after it is throttled too.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

#[cfg(feature = "queue")]
const CANCELED: &str = "the operation was canceled before it departed";
#[cfg(feature = "queue")]
const DROPPED: &str = "the queue was full, and dropped its oldest operation; \
     raise `max_len` or `max_bytes`, or let `enqueue` wait";
#[cfg(feature = "queue")]
const EXPIRED: &str = "the operation waited in the queue for longer than `max_age`; \
     check what held it up";
#[cfg(feature = "queue")]
const KEPT: &str = "the queue ended first; the operation is in its spool, \
     and the next queue on the spool sends it";

#[cfg(feature = "spool")]
const MAYBE_KEPT: &str = "the disk failed while the operation was written; it may be in the spool, \
     and the next queue on the spool would send it";

impl Kind {
    fn text(self) -> &'static str {
        match self {
            #[cfg(feature = "queue")]
            Self::Canceled => CANCELED,
            #[cfg(feature = "queue")]
            Self::Dropped => DROPPED,
            #[cfg(feature = "queue")]
            Self::Expired => EXPIRED,
            #[cfg(feature = "queue")]
            Self::Kept => KEPT,
            #[cfg(feature = "spool")]
            Self::MaybeKept => MAYBE_KEPT,
            Self::Credentials => {
                "the API rejected the credentials; check the site id, the API key and the region"
            }
            Self::Failed => "the request failed",
            Self::FollowsUnknown => {
                "the outcome of an earlier operation on the same person is unknown; \
                 check that one, then send this one again"
            }
            Self::NotJson => {
                "the response did not come from the API; check the base URL and proxies"
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
            Self::Throttled => "the API throttled every attempt; send less, or wait longer",
            #[cfg(feature = "client")]
            _ => self.client_text(),
        }
    }

    /// Returns the text of a kind that only a client has.
    #[cfg(feature = "client")]
    fn client_text(self) -> &'static str {
        match self {
            Self::DailyQuota {
                is_reset_known: true,
            } => "the daily quota of this endpoint is used up; send again after it resets",
            Self::DailyQuota {
                is_reset_known: false,
            } => {
                "the daily quota of this endpoint is used up, and the API does not say until when; \
                 send again tomorrow"
            }
            Self::Deadline => {
                "the deadline of the call passed; allow more time, or send less at once"
            }
            Self::MissingCredentials(_) => "the client has no credentials for this API",
            Self::PausedTooLong => {
                "the server asked to wait for longer than the client allows; \
                 send later, or raise `max_server_pause`"
            }
            Self::NoTunnel => {
                "the proxy opened no tunnel; \
                 check its URL, and that it allows `CONNECT` to the API's host"
            }
            Self::ProxyCredentials => {
                "the proxy rejected its credentials; put user and password into its URL"
            }
            Self::Untrusted => {
                "the server's certificate is of an unknown authority; \
                 if the authority is yours, add it with `extra_roots` or to the system's"
            }
            Self::WaitRejected => {
                "the client's rate limiter rejected the wait; \
                 send less, or raise `max_wait` or `max_queued`"
            }
            // All others, by name: a new kind without a text does not compile.
            Self::Credentials
            | Self::Failed
            | Self::FollowsUnknown
            | Self::NotJson
            | Self::Redirected(_)
            | Self::Status
            | Self::Stopped
            | Self::Throttled => self.text(),
            #[cfg(feature = "queue")]
            Self::Canceled | Self::Dropped | Self::Expired | Self::Kept => self.text(),
            #[cfg(feature = "spool")]
            Self::MaybeKept => self.text(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            #[cfg(feature = "client")]
            Self::MissingCredentials(variable) => {
                write!(f, "; set `{variable}`, or give them to the builder")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        if let Some(status) = self.0.status {
            write!(f, " (status {})", status.as_u16())?;
        }
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("kind", &self.0.kind)
            .field("status", &self.0.status)
            .field("message", &self.0.message)
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
