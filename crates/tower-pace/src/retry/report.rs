use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// Describes the attempts before a response, in its extensions. The response to a first attempt
/// has none.
///
/// ```
/// use tower_pace::Retried;
///
/// let response = http::Response::new(());
/// let attempts = response.extensions().get::<Retried>().map_or(1, Retried::attempts);
/// assert_eq!(attempts, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    pub(super) attempts: u32,
    pub(super) waited: Duration,
}

impl Retried {
    /// Returns how often the request was sent, the first time included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the sum of the backoffs between the attempts, as an observer saw them.
    ///
    /// It does not include the time until the inner service was ready, nor the time that a
    /// response took to be read beyond its backoff.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }
}

/// Describes a retry before its backoff, to an observer. It holds nothing of the request, and of
/// the response only the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrying {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    pub(super) status: Option<StatusCode>,
}

impl Retrying {
    /// Returns the number of the next attempt: 2 for the first retry.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the backoff before the next attempt.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        self.wait
    }

    /// Returns the status of the response that is not returned, or `None` if there was no response.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Emits an event of the crate `tracing`, if the feature `tracing` is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(&self) {
        tracing::debug!(
            attempt = self.attempt,
            wait = ?self.wait,
            status = self.status.map(|status| status.as_u16()),
            "a request is sent again"
        );
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) const fn emit(&self) {}
}

/// Says why a failed request was not sent again: in the extensions of its response, and to an
/// observer. It holds nothing of the request, and of the response only the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRetried {
    pub(super) reason: GaveUp,
    pub(super) attempts: u32,
    pub(super) status: Option<StatusCode>,
}

impl NotRetried {
    /// Returns why there was no other attempt.
    #[must_use]
    pub const fn reason(&self) -> GaveUp {
        self.reason
    }

    /// Returns how often the request was sent, the first time included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the status of the response, or `None` if there was no response.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Emits an event of the crate `tracing`, if the feature `tracing` is on.
    #[cfg(feature = "tracing")]
    pub(super) fn emit(&self) {
        tracing::debug!(
            reason = ?self.reason,
            attempts = self.attempts,
            status = self.status.map(|status| status.as_u16()),
            "a failed request is not sent again"
        );
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) const fn emit(&self) {}
}

/// The reason why a failed request was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// The attempts of the policy are used up.
    Attempts,
    /// The request body is longer than what [`RetryLayer::buffered`](super::RetryLayer::buffered)
    /// keeps.
    BodyTooLong,
    /// The [`RetryBudget`](super::RetryBudget) is used up.
    Budget,
    /// The wait would not have ended before the [`Deadline`](crate::Deadline).
    Deadline,
    /// The request may have been processed, and a replay is not known to be safe. A
    /// [`Replay`](super::Replay) mark or an [`IdempotencyKeys`](super::IdempotencyKeys) says that
    /// it is.
    NotReplayable,
    /// The server asked for more time than
    /// [`max_retry_after`](super::RetryPolicy::max_retry_after).
    RetryAfter,
    /// All waits together would have exceeded
    /// [`max_total_backoff`](super::RetryPolicy::max_total_backoff).
    TotalBackoff,
}

/// A callback of the user, such as that of
/// [`RetryLayer::on_retry`](super::RetryLayer::on_retry).
pub(super) struct Observer<T>(Arc<dyn Fn(&T) + Send + Sync>);

impl<T> Observer<T> {
    pub(super) fn new(observe: impl Fn(&T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(super) fn observe(&self, report: &T) {
        (self.0)(report);
    }
}

impl<T> Clone for Observer<T> {
    // By hand: a derive would demand that the report is `Clone`.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Observer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
