use std::error::Error;

use super::Cause;
#[cfg(feature = "client")]
use super::Kind;

/// Says that no response came, and whether the request may have left.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(crate) may_have_left: bool,
    pub(crate) cause: Cause,
}

impl Failure {
    /// Says that the request provably never left, as when connecting failed.
    pub fn before_sending(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            may_have_left: false,
            cause: Cause::new(error),
        }
    }

    /// Says that the request may have arrived, as after a timeout or a reset connection.
    pub fn after_sending(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            may_have_left: true,
            cause: Cause::new(error),
        }
    }

    /// Says that the client's own limit gave it no turn.
    #[cfg(feature = "client")]
    pub(crate) fn wait_refused(rejected: tower_pace::Rejected) -> Self {
        Self {
            may_have_left: false,
            cause: Cause::boxed(Kind::WaitRefused, Box::new(rejected)),
        }
    }

    /// Says that the deadline of the call passed.
    #[cfg(feature = "client")]
    pub(crate) fn late(may_have_left: bool) -> Self {
        Self {
            may_have_left,
            cause: Cause::of(Kind::Deadline),
        }
    }

    /// Says that the server held the call back for too long.
    #[cfg(feature = "client")]
    pub(crate) fn held_too_long() -> Self {
        Self {
            may_have_left: false,
            cause: Cause::of(Kind::HeldTooLong),
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn boxed(
        may_have_left: bool,
        kind: Kind,
        error: Box<dyn Error + Send + Sync>,
    ) -> Self {
        Self {
            may_have_left,
            cause: Cause::boxed(kind, error),
        }
    }
}
