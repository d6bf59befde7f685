use std::convert::Infallible;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use crate::Deadline;
use crate::error::{Error, LimitKind, Rejected};

/// Bounds the wait of a request: [`UnboundedWait`] or [`BoundedWait`].
///
/// It is a type parameter of the layers, since it decides the error type of their services. It
/// cannot be implemented outside this crate.
pub trait WaitPolicy: CheckWait {
    /// The error type of a service whose inner service fails with `E`.
    type Error<E>;

    /// Wraps an error of the inner service.
    fn inner<E>(error: E) -> Self::Error<E>;

    /// Wraps a rejected wait.
    fn rejected<E>(rejection: Self::Rejection) -> Self::Error<E>;
}

/// Decides whether a request may wait, and how long.
#[expect(
    unnameable_types,
    reason = "seals `WaitPolicy`: the queue's view of it may change"
)]
pub trait CheckWait: Clone {
    /// The reason of a rejected wait.
    type Rejection;

    /// Returns the policy for a request with these extensions.
    #[must_use]
    fn with_request(&self, extensions: &Extensions) -> Self;

    /// Returns the bounds that are in force.
    fn bounds(&self) -> BoundedWait;

    /// Rejects a request whose deadline has passed, after a wait of `waited`.
    fn check_deadline(&self, limit: LimitKind, waited: Duration) -> Result<(), Self::Rejection>;

    /// Rejects a request that can never depart: `fits` returns whether the limit has room for its
    /// cost.
    fn check_demand(
        &self,
        limit: LimitKind,
        fits: impl FnOnce() -> bool,
    ) -> Result<(), Self::Rejection>;

    /// Returns how much longer a request may wait, if that is bounded.
    fn remaining(&self, outlook: &WaitForecast) -> Result<Option<Duration>, Self::Rejection>;
}

/// The wait that a request would have.
#[derive(Clone, Copy, Debug)]
#[expect(
    unnameable_types,
    reason = "seals `WaitPolicy`: the queue's view of it may change"
)]
pub struct WaitForecast {
    pub(super) limit: LimitKind,
    pub(super) now: Instant,
    /// The number of other waiters.
    pub(super) queued: usize,
    /// The time that the request has waited. None if it is new.
    pub(super) waited: Option<Duration>,
    /// The rest of its wait. None if it depends on requests in flight.
    pub(super) forecast: Option<Duration>,
    /// The rest of the wait with which the limit starts, if it is the first request.
    pub(super) start: Option<Duration>,
}

/// Waits without an upper bound, and ignores a [`Deadline`]. The service has no error of its own.
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

/// Waits within the bounds of the layer and the [`Deadline`] of the request. The service fails with
/// [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedWait {
    max_queued: usize,
    max_wait: Duration,
    /// That of the request.
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

    /// Returns the rest of the longest wait.
    fn left(&self, outlook: &WaitForecast) -> Duration {
        let waited = outlook.waited.unwrap_or_default();
        let now = outlook.now.into_std();
        let until_deadline = self
            .deadline
            .map(|deadline| deadline.moment().saturating_duration_since(now));
        // A limit that has just been created is not busy, so its start is no reason to reject.
        let left = self.max_wait.saturating_sub(waited);
        left.max(outlook.start.unwrap_or_default())
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

    /// Rejects a new request by the forecast, and a waiter only when its time is over: responses in
    /// between may have made it due earlier.
    fn remaining(&self, outlook: &WaitForecast) -> Result<Option<Duration>, Rejected> {
        let limit = outlook.limit;
        let (left, is_new) = (self.left(outlook), outlook.waited.is_none());
        let max_queued = match outlook.start {
            Some(_) => self.max_queued.max(1),
            None => self.max_queued,
        };
        if is_new && outlook.queued >= max_queued {
            return Err(Rejected::full(limit, outlook.queued, outlook.forecast));
        }
        let is_hopeless = is_new && outlook.forecast.is_some_and(|forecast| forecast > left);
        if is_hopeless || left.is_zero() {
            let waited = outlook.waited.unwrap_or_default();
            return Err(Rejected::too_long(limit, waited, outlook.forecast));
        }
        Ok((left < Duration::MAX).then_some(left))
    }
}
