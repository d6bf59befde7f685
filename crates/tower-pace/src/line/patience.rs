use std::convert::Infallible;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use crate::Deadline;
use crate::error::{Error, LimitKind, Rejected};

/// How long a request waits for its turn: [`Unbounded`] or within [`Bounds`].
///
/// It is a type parameter of the layers, since it decides what their services can fail with. It
/// cannot be implemented outside this crate.
pub trait Patience: Judge {
    /// The error of a service whose inner service fails with `E`.
    type Error<E>;

    /// Passes the inner service's error on.
    fn failed<E>(error: E) -> Self::Error<E>;

    /// Makes an error of a refused wait.
    fn refused<E>(refusal: Self::Refusal) -> Self::Error<E>;
}

/// What the line asks a [`Patience`].
#[expect(
    unnameable_types,
    reason = "seals `Patience`: what the line shows of itself may change"
)]
pub trait Judge: Clone {
    /// Why a request may not wait.
    type Refusal;

    /// Reads what a request says of its own patience.
    #[must_use]
    fn heed(&self, extensions: &Extensions) -> Self;

    /// Returns the bounds that are in force.
    fn bounds(&self) -> Bounds;

    /// Says whether a request that has waited for `waited` may still be sent: its deadline has not
    /// passed.
    fn starts(&self, limit: LimitKind, waited: Duration) -> Result<(), Self::Refusal>;

    /// Says whether a request may be sent at all; `fits` tells whether its cost can ever be paid.
    fn admit(&self, limit: LimitKind, fits: impl FnOnce() -> bool) -> Result<(), Self::Refusal>;

    /// Says how much longer a request may wait, if there is a bound.
    fn judge(&self, outlook: &Outlook) -> Result<Option<Duration>, Self::Refusal>;
}

/// What a request that would have to wait can know.
#[derive(Clone, Copy, Debug)]
#[expect(
    unnameable_types,
    reason = "seals `Patience`: what the line shows of itself may change"
)]
pub struct Outlook {
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
pub struct Unbounded;

impl Patience for Unbounded {
    type Error<E> = E;

    fn failed<E>(error: E) -> E {
        error
    }

    fn refused<E>(refusal: Infallible) -> E {
        match refusal {}
    }
}

impl Judge for Unbounded {
    type Refusal = Infallible;

    fn heed(&self, _: &Extensions) -> Self {
        *self
    }

    fn bounds(&self) -> Bounds {
        Bounds::NONE
    }

    fn starts(&self, _: LimitKind, _: Duration) -> Result<(), Infallible> {
        Ok(())
    }

    fn admit(&self, _: LimitKind, _: impl FnOnce() -> bool) -> Result<(), Infallible> {
        Ok(())
    }

    fn judge(&self, _: &Outlook) -> Result<Option<Duration>, Infallible> {
        Ok(None)
    }
}

/// Waits only within bounds, of which a request's [`Deadline`] is one. The service fails with
/// [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    max_queued: usize,
    max_wait: Duration,
    /// What the request itself says.
    deadline: Option<Deadline>,
}

impl Bounds {
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
    fn left(&self, outlook: &Outlook) -> Duration {
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

impl Patience for Bounds {
    type Error<E> = Error<E>;

    fn failed<E>(error: E) -> Error<E> {
        Error::inner(error)
    }

    fn refused<E>(refusal: Rejected) -> Error<E> {
        Error::rejected(refusal)
    }
}

impl Judge for Bounds {
    type Refusal = Rejected;

    fn heed(&self, extensions: &Extensions) -> Self {
        Self {
            deadline: extensions.get().copied(),
            ..*self
        }
    }

    fn bounds(&self) -> Bounds {
        *self
    }

    fn starts(&self, limit: LimitKind, waited: Duration) -> Result<(), Rejected> {
        match self.deadline.is_some_and(Deadline::has_passed) {
            true => Err(Rejected::late(limit, waited)),
            false => Ok(()),
        }
    }

    fn admit(&self, limit: LimitKind, fits: impl FnOnce() -> bool) -> Result<(), Rejected> {
        match fits() {
            true => Ok(()),
            false => Err(Rejected::too_heavy(limit)),
        }
    }

    /// The forecast decides for one who has just come; later the bound itself does, since an answer
    /// may change all.
    fn judge(&self, outlook: &Outlook) -> Result<Option<Duration>, Rejected> {
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
