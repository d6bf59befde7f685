use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// Says, in the extensions of a response, that it is not that of the first attempt.
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

    /// Returns how long was to be waited between the attempts, all waits together, as an observer saw them. An answer that
    /// was read to its end for longer, and what the inner service took to be ready, are not in it.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }
}

/// A retry that is about to be waited for, as an observer sees it. It holds nothing of the request or the answer but the
/// status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrying {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    pub(super) status: Option<StatusCode>,
}

impl Retrying {
    /// Returns which attempt comes next: 2 for the first retry.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns how long it is waited for.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        self.wait
    }

    /// Returns the status of the answer that is not returned, `None` if there was no answer.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Tells it as an event of the crate `tracing`, if the feature of that name is on.
    #[cfg(feature = "tracing")]
    pub(super) fn trace(&self) {
        tracing::debug!(
            attempt = self.attempt,
            wait = ?self.wait,
            status = self.status.map(|status| status.as_u16()),
            "a request is sent again"
        );
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) const fn trace(&self) {}
}

/// Is told of every retry.
#[derive(Clone)]
pub(super) struct Observer(Arc<dyn Fn(&Retrying) + Send + Sync>);

impl Observer {
    pub(super) fn new(observe: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(super) fn tell(&self, retrying: &Retrying) {
        (self.0)(retrying);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
