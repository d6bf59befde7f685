use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rand::rngs::SysError;
use tower_pace::{Deadline, UnsafeQuota};

use crate::{Cause, InvalidInput, Outcome, Region, Rejection};

/// How many errors of a chain are printed. Real chains are shorter; the bound ends a chain in which
/// an error is its own source.
const MAX_CHAIN: usize = 16;

/// The error of one operation that was not accepted.
///
/// Its text says how the operation ended (not sent, rejected or unknown), why, and what to do next.
/// It holds the texts of all errors below, so there is no [source](StdError::source);
/// [`cause`](Self::cause) returns them.
///
/// ```
/// use customerio::Client;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
/// # fn main() {
/// # let builder = customerio_sim::Simulator::builder().credentials("site", "another key");
/// # simulated_by(builder, async {
/// let error = Client::from_env()?.check().await.unwrap_err();
/// let advice = "the API rejected the credentials; \
///     check the site id, the API key and the region (status 401)";
/// assert_eq!(error.to_string(), format!("the operation was not sent: {advice}"));
/// # Ok(()) }) }
/// ```
///
/// The exact text may change in any release: use the predicates. It may quote the server, and so a
/// person's data: see [`Cause`] and [`Rejection`].
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    retry_at: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A request that only reads got no answer. It has no effect, so none is unknown.
    Failed(Cause),
    NotSent(Cause),
    Rejected(Rejection),
    Unknown(Cause),
    /// A request to the App API succeeded, and its reply has another structure than the caller
    /// expected.
    Unread(Unread),
}

/// Where a reply differs. It leaves out the text of the parser, which quotes the reply and so a
/// person's data.
#[derive(Clone, Copy, Debug)]
struct Unread {
    status: StatusCode,
    line: usize,
    column: usize,
}

impl Kind {
    fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Failed(cause) | Self::NotSent(cause) | Self::Unknown(cause) => Some(cause),
            Self::Rejected(_) | Self::Unread(_) => None,
        }
    }
}

impl Error {
    fn of(kind: Kind) -> Self {
        let asked = kind.cause().and_then(Cause::retry_after);
        Self {
            retry_at: asked.map(|time| Deadline::within(time).moment()),
            kind,
        }
    }

    pub(super) fn not_sent(cause: Cause) -> Self {
        Self::of(Kind::NotSent(cause))
    }

    /// Returns the outcome of one operation as a result. Call it when the response has just come: a
    /// `Retry-After` counts from now.
    pub(super) fn check(outcome: Outcome) -> Result<(), Self> {
        match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::NotSent(cause) => Err(Self::of(Kind::NotSent(cause))),
            Outcome::Rejected(rejection) => Err(Self::of(Kind::Rejected(rejection))),
            Outcome::Unknown(cause) => Err(Self::of(Kind::Unknown(cause))),
        }
    }

    /// Returns the outcome of a request to the App API as a result. Call it when the response has
    /// just come.
    pub(super) fn check_app(outcome: Outcome, method: &Method) -> Result<(), Self> {
        match outcome {
            Outcome::Unknown(cause) => Err(Self::of_app(cause, method)),
            outcome => Self::check(outcome),
        }
    }

    /// Returns the error of a request to the App API whose outcome is unknown.
    pub(super) fn of_app(cause: Cause, method: &Method) -> Self {
        Self::of(match method.is_safe() {
            true => Kind::Failed(cause),
            false => Kind::Unknown(cause),
        })
    }

    /// Creates the error of a request that only reads.
    pub(super) fn failed(cause: Cause) -> Self {
        Self::of(Kind::Failed(cause))
    }

    /// Creates the error of a success whose reply the caller cannot read.
    pub(super) fn unread(status: StatusCode, error: &serde_json::Error) -> Self {
        Self::of(Kind::Unread(Unread {
            status,
            line: error.line(),
            column: error.column(),
        }))
    }

    /// Returns the reason why the operation was not sent, or why its outcome is unknown, with the
    /// error of the transport as its source. A rejected operation has none.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.kind.cause()
    }

    /// Returns whether this crate's checks or the API rejected the operation. They will reject it
    /// again.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.rejection().is_some()
    }

    /// Returns why the operation was rejected, if it was.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match &self.kind {
            Kind::Rejected(rejection) => Some(rejection),
            Kind::Failed(_) | Kind::NotSent(_) | Kind::Unknown(_) | Kind::Unread(_) => None,
        }
    }

    /// Returns the input that this crate's checks rejected, if they did. Nothing was sent.
    ///
    /// ```
    /// use customerio::{InvalidInput, Person, client::Error};
    ///
    /// let error = Error::from(Person::id(&"x".repeat(151)).unwrap_err());
    /// assert!(error.invalid_input().is_some_and(InvalidInput::is_too_large));
    /// ```
    #[must_use]
    pub fn invalid_input(&self) -> Option<&InvalidInput> {
        self.rejection().and_then(Rejection::invalid_input)
    }

    /// Returns whether the API throttled the last attempt (425, 429).
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.cause().is_some_and(Cause::is_throttled)
    }

    /// Returns whether the daily quota of the endpoint is used up, as the App API has some.
    ///
    /// [`retry_at`](Self::retry_at) is the time at which the client asks again: when the quota
    /// resets, if the API said so, and otherwise after
    /// [`daily_quota_pause`](super::ClientBuilder::daily_quota_pause). Requests before it fail at
    /// once; other endpoints go on.
    ///
    /// ```
    /// use customerio::Client;
    /// use http::Method;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() {
    /// # use customerio_sim::{Script, Simulator, Step};
    /// # let used_up = Script::new([Step::status(429)]); // without `Retry-After`
    /// # simulated_by(Simulator::builder().script(used_up), async {
    /// let client = Client::from_env()?;
    /// let archived = || client.app().request(Method::GET, "/v1/messages/d1/archived_message");
    /// let error = archived().send().await.unwrap_err();
    /// assert!(error.is_daily_quota() && error.retry_at().is_some());
    /// assert!(archived().send().await.unwrap_err().is_daily_quota());
    /// assert_eq!(client.stats().requests, 1);
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn is_daily_quota(&self) -> bool {
        self.cause().is_some_and(Cause::is_daily_quota)
    }

    /// Returns whether the API rejected the credentials (401, 403), or the client has none for it.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        self.cause().is_some_and(Cause::is_credentials)
    }

    /// Returns whether the [deadline](super::ClientBuilder::deadline) of the call passed before a
    /// response came.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        self.cause().is_some_and(Cause::is_deadline)
    }

    /// Returns whether the server paused the call for longer than
    /// [`max_server_pause`](super::ClientBuilder::max_server_pause).
    #[must_use]
    pub fn is_paused_too_long(&self) -> bool {
        self.cause().is_some_and(Cause::is_paused_too_long)
    }

    /// Returns whether the client's rate limiter rejected the wait, by
    /// [`max_wait`](super::ClientBuilder::max_wait) or
    /// [`max_queued`](super::ClientBuilder::max_queued). That attempt was not sent.
    #[must_use]
    pub fn is_wait_rejected(&self) -> bool {
        self.cause().is_some_and(Cause::is_wait_rejected)
    }

    /// Returns whether the API redirected the request, or named another region for the account: the
    /// [region](Self::region) or the base URL is wrong. Redirects are never followed.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        self.cause().is_some_and(Cause::is_redirect)
    }

    /// Returns the region to set instead, if the API named one.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        self.cause().and_then(Cause::region)
    }

    /// Returns whether the operation may have been applied in spite of the error: its outcome is
    /// unknown, or it succeeded and its reply cannot be read.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        matches!(self.kind, Kind::Unknown(_) | Kind::Unread(_))
    }

    /// Returns the request id of the last response, for Customer.io's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Failed(cause) | Kind::NotSent(cause) | Kind::Unknown(cause) => cause.request_id(),
            Kind::Rejected(rejection) => rejection.request_id(),
            Kind::Unread(_) => None,
        }
    }

    /// Returns the `Retry-After` of the last response, as [`Cause::retry_after`] does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause().and_then(Cause::retry_after)
    }

    /// Returns the time at which the last response allows another request, if it said so.
    ///
    /// It is on tokio's clock, so it works in a test with paused time. It counts from the end of
    /// the call and is at most thirty years later. A 429 without a time may be a daily quota: an
    /// attempt soon after it fails again.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Returns the status of the last response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match &self.kind {
            Kind::Failed(cause) | Kind::NotSent(cause) | Kind::Unknown(cause) => cause.status(),
            Kind::Rejected(rejection) => rejection.status(),
            Kind::Unread(unread) => Some(unread.status),
        }
    }
}

impl From<InvalidInput> for Error {
    fn from(input: InvalidInput) -> Self {
        Self::of(Kind::Rejected(input.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Failed(_) => "the request got no answer",
            Kind::NotSent(_) => "the operation was not sent",
            Kind::Rejected(rejection) => return rejection.fmt(f),
            Kind::Unread(Unread { line, column, .. }) => {
                return write!(
                    f,
                    "the request succeeded, but its reply has another structure than expected \
                     (line {line}, column {column})"
                );
            }
            Kind::Unknown(_) => "the outcome of the operation is unknown; it may have been applied",
        })?;
        // All of the chain: a program that prints only this error shows the reason, too.
        let first = self.cause().map(|cause| cause as &(dyn StdError + 'static));
        let chain = std::iter::successors(first, |&error| error.source());
        let mut chain = chain.take(MAX_CHAIN);
        chain.try_for_each(|error| write!(f, ": {error}"))
    }
}

/// It has no source, since its text holds those of all errors below.
impl StdError for Error {}

/// The error of building a client.
#[derive(Debug)]
pub struct BuildError(Build);

#[derive(Debug)]
enum Build {
    Input(InvalidInput),
    Quota(UnsafeQuota),
    Randomness(SysError),
    Tls(rustls::Error),
}

impl BuildError {
    pub(super) fn randomness(error: SysError) -> Self {
        Self(Build::Randomness(error))
    }

    pub(super) fn tls(error: rustls::Error) -> Self {
        Self(Build::Tls(error))
    }

    /// Returns the invalid setting, if the error is about one.
    #[must_use]
    pub fn invalid_input(&self) -> Option<&InvalidInput> {
        match &self.0 {
            Build::Input(input) => Some(input),
            Build::Quota(_) | Build::Randomness(_) | Build::Tls(_) => None,
        }
    }
}

impl From<InvalidInput> for BuildError {
    fn from(input: InvalidInput) -> Self {
        Self(Build::Input(input))
    }
}

impl From<UnsafeQuota> for BuildError {
    fn from(error: UnsafeQuota) -> Self {
        Self(Build::Quota(error))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Build::Input(input) => input.fmt(f),
            Build::Quota(error) => error.fmt(f),
            Build::Randomness(_) => f.write_str(
                "the system has no source of randomness for event ids; check its random device",
            ),
            Build::Tls(_) => f.write_str(
                "TLS cannot be set up; \
                 check the system's certificates, or give some with `only_roots`",
            ),
        }
    }
}

impl StdError for BuildError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Build::Input(_) | Build::Quota(_) => None,
            Build::Randomness(error) => Some(error),
            Build::Tls(error) => Some(error),
        }
    }
}
