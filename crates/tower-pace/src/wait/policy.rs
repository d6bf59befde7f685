use std::convert::Infallible;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use crate::Deadline;
use crate::error::{Error, LimitKind, Rejected};

/// How long a request waits for its turn: [`UnboundedWait`] or within [`BoundedWait`].
///
/// It is a type parameter of the layers, since it decides what their services can fail with. It
/// cannot be implemented outside this crate.
pub trait WaitPolicy: CheckWait {
    /// The error of a service whose inner service fails with `E`.
    type Error<E>;

    /// Passes the inner service's error on.
    fn inner<E>(error: E) -> Self::Error<E>;

    /// Makes an error of a refused wait.
    fn rejected<E>(rejection: Self::Rejection) -> Self::Error<E>;
}

/// What the line asks a [`WaitPolicy`].
#[expect(
    unnameable_types,
    reason = "seals `WaitPolicy`: what the line shows of itself may change"
)]
pub trait CheckWait: Clone {
    /// Why a request may not wait.
    type Rejection;

    /// Reads what a request says of its own policy.
    #[must_use]
    fn with_request(&self, extensions: &Extensions) -> Self;

    /// Returns the bounds that are in force.
    fn bounds(&self) -> BoundedWait;

    /// Says whether a request that has waited for `waited` may still be sent: its deadline has not
    /// passed.
    fn check_deadline(&self, limit: LimitKind, waited: Duration) -> Result<(), Self::Rejection>;

    /// Says whether a request may be sent at all; `fits` tells whether its cost can ever be paid.
    fn check_demand(
        &self,
        limit: LimitKind,
        fits: impl FnOnce() -> bool,
    ) -> Result<(), Self::Rejection>;

    /// Says how much longer a request may wait, if there is a bound.
    fn remaining(&self, outlook: &WaitForecast) -> Result<Option<Duration>, Self::Rejection>;
}

/// What a request that would have to wait can know.
#[derive(Clone, Copy, Debug)]
#[expect(
    unnameable_types,
    reason = "seals `WaitPolicy`: what the line shows of itself may change"
)]
pub struct WaitForecast {
    pub(super) limit: LimitKind,
    pub(super) now: Instant,
    /// How many others stand in the line.
    pub(super) queued: usize,
    /// How long the request has waited; none if it has just come.
    pub(super) waited: Option<Duration>,
    /// How long it would have to wait from now on; none if only an answer can tell.
    pub(super) forecast: Option<Duration>,
}

/// Waits for as long as it takes, and ignores a [`Deadline`]. The service has no error of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnboundedWait;

impl WaitPolicy for UnboundedWait {
    type Error<E> = E;

    fn inner<E>(error: E) -> E {
        error
    }

    fn rejected<E>(rejection: Infallible) -> E {
        match rejection {}
    }
}

impl CheckWait for UnboundedWait {
    type Rejection = Infallible;

    fn with_request(&self, _: &Extensions) -> Self {
        *self
    }

    fn bounds(&self) -> BoundedWait {
        BoundedWait::NONE
    }

    fn check_deadline(&self, _: LimitKind, _: Duration) -> Result<(), Infallible> {
        Ok(())
    }

    fn check_demand(&self, _: LimitKind, _: impl FnOnce() -> bool) -> Result<(), Infallible> {
        Ok(())
    }

    fn remaining(&self, _: &WaitForecast) -> Result<Option<Duration>, Infallible> {
        Ok(None)
    }
}

/// Waits only within bounds, of which a request's [`Deadline`] is one. The service fails with
/// [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedWait {
    max_queued: usize,
    max_wait: Duration,
    /// What the request itself says.
    deadline: Option<Deadline>,
}

impl BoundedWait {
    const NONE: Self = Self {
        max_queued: usize::MAX,
        max_wait: Duration::MAX,
        deadline: None,
    };

    pub(crate) fn max_queued(self, others: usize) -> Self {
        Self {
            max_queued: others,
            ..self
        }
    }

    pub(crate) fn max_wait(self, time: Duration) -> Self {
        Self {
            max_wait: time,
            ..self
        }
    }

    /// What is left of the longest wait.
    fn left(&self, outlook: &WaitForecast) -> Duration {
        let waited = outlook.waited.unwrap_or_default();
        let now = outlook.now.into_std();
        let until_deadline = self
            .deadline
            .map(|deadline| deadline.moment().saturating_duration_since(now));
        self.max_wait
            .saturating_sub(waited)
            .min(until_deadline.unwrap_or(Duration::MAX))
    }
}

impl WaitPolicy for BoundedWait {
    type Error<E> = Error<E>;

    fn inner<E>(error: E) -> Error<E> {
        Error::inner(error)
    }

    fn rejected<E>(rejection: Rejected) -> Error<E> {
        Error::rejected(rejection)
    }
}

impl CheckWait for BoundedWait {
    type Rejection = Rejected;

    fn with_request(&self, extensions: &Extensions) -> Self {
        Self {
            deadline: extensions.get().copied(),
            ..*self
        }
    }

    fn bounds(&self) -> BoundedWait {
        *self
    }

    fn check_deadline(&self, limit: LimitKind, waited: Duration) -> Result<(), Rejected> {
        match self.deadline.is_some_and(Deadline::has_passed) {
            true => Err(Rejected::late(limit, waited)),
            false => Ok(()),
        }
    }

    fn check_demand(&self, limit: LimitKind, fits: impl FnOnce() -> bool) -> Result<(), Rejected> {
        match fits() {
            true => Ok(()),
            false => Err(Rejected::too_heavy(limit)),
        }
    }

    /// The forecast decides for one who has just come; later the bound itself does, since an answer
    /// may change all.
    fn remaining(&self, outlook: &WaitForecast) -> Result<Option<Duration>, Rejected> {
        let limit = outlook.limit;
        let (left, has_come) = (self.left(outlook), outlook.waited.is_none());
        if has_come && outlook.queued >= self.max_queued {
            return Err(Rejected::full(limit, outlook.queued, outlook.forecast));
        }
        let hopeless = has_come && outlook.forecast.is_some_and(|forecast| forecast > left);
        if hopeless || left.is_zero() {
            let waited = outlook.waited.unwrap_or_default();
            return Err(Rejected::too_long(limit, waited, outlook.forecast));
        }
        Ok((left < Duration::MAX).then_some(left))
    }
}
