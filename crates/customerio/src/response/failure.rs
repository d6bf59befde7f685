use std::error::Error;

use super::Cause;
#[cfg(feature = "client")]
use super::Kind;

/// A request that got no response, and whether it may have been sent.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(crate) may_have_been_sent: bool,
    pub(crate) cause: Cause,
}

impl Failure {
    /// Creates a failure of a request that was certainly not sent, as when connecting failed.
    pub fn before_sending(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            may_have_been_sent: false,
            cause: Cause::new(error),
        }
    }

    /// Creates a failure of a request that may have arrived, as after a timeout or a connection
    /// reset.
    pub fn after_sending(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            may_have_been_sent: true,
            cause: Cause::new(error),
        }
    }

    /// Creates the failure of a request whose bounded wait in the rate limiter was rejected.
    #[cfg(feature = "client")]
    pub(crate) fn wait_rejected(rejected: tower_pace::Rejected) -> Self {
        Self {
            may_have_been_sent: false,
            cause: Cause::boxed(Kind::WaitRejected, Box::new(rejected)),
        }
    }

    /// Creates the failure of a request whose call passed its deadline.
    #[cfg(feature = "client")]
    pub(crate) fn deadline(may_have_been_sent: bool) -> Self {
        Self {
            may_have_been_sent,
            cause: Cause::of(Kind::Deadline),
        }
    }

    /// Creates the failure of a request that the server paused for longer than the call allows.
    #[cfg(feature = "client")]
    pub(crate) fn paused_too_long() -> Self {
        Self {
            may_have_been_sent: false,
            cause: Cause::of(Kind::PausedTooLong),
        }
    }

    /// Creates the failure of a request for which the client has no credentials.
    #[cfg(feature = "client")]
    pub(crate) fn missing_credentials(variable: &'static str) -> Self {
        Self {
            may_have_been_sent: false,
            cause: Cause::of(Kind::MissingCredentials(variable)),
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn boxed(
        may_have_been_sent: bool,
        kind: Kind,
        error: Box<dyn Error + Send + Sync>,
    ) -> Self {
        Self {
            may_have_been_sent,
            cause: Cause::boxed(kind, error),
        }
    }
}
