use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The error of a service whose requests wait within [`Bounds`](super::Bounds): the wait was
/// refused, or the inner service failed.
#[derive(Debug)]
pub struct Bounded<E> {
    kind: Kind<E>,
}

#[derive(Debug)]
enum Kind<E> {
    Refused(Refused),
    Failed(E),
}

impl<E> Bounded<E> {
    pub(crate) fn refused(refusal: Refused) -> Self {
        Self {
            kind: Kind::Refused(refusal),
        }
    }

    pub(crate) fn failed(error: E) -> Self {
        Self {
            kind: Kind::Failed(error),
        }
    }

    /// Returns the refusal, if the wait was refused: then the request was not sent.
    pub fn refusal(&self) -> Option<&Refused> {
        match &self.kind {
            Kind::Refused(refusal) => Some(refusal),
            Kind::Failed(_) => None,
        }
    }

    /// Returns the inner service's error, if it failed.
    pub fn get_ref(&self) -> Option<&E> {
        match &self.kind {
            Kind::Refused(_) => None,
            Kind::Failed(error) => Some(error),
        }
    }

    /// Returns the inner service's error, if it failed.
    pub fn into_inner(self) -> Option<E> {
        match self.kind {
            Kind::Refused(_) => None,
            Kind::Failed(error) => Some(error),
        }
    }
}

impl<E> fmt::Display for Bounded<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Refused(_) => f.write_str("the wait for a turn was refused"),
            Kind::Failed(_) => f.write_str("the inner service failed"),
        }
    }
}

impl<E: Error + 'static> Error for Bounded<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Refused(refusal) => Some(refusal),
            Kind::Failed(error) => Some(error),
        }
    }
}

/// A wait that was refused. Nothing was sent.
///
/// It is the source of its [`Bounded`], so it is found in a box, too, whatever else is around it:
///
/// ```
/// use std::error::Error;
/// use tower::{BoxError, Layer, ServiceExt, service_fn};
/// use tower_pace::{Quota, RateLimitLayer, Refused};
/// # use std::convert::Infallible;
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
///
/// fn refusal(error: &BoxError) -> Option<&Refused> {
///     let first: &(dyn Error + 'static) = &**error;
///     let mut causes = std::iter::successors(Some(first), |&error| error.source());
///     causes.find_map(|error| error.downcast_ref())
/// }
///
/// let layer = RateLimitLayer::new(Quota::per_second(100)).fail_fast();
/// let service = layer.layer(service_fn(answer)).map_err(BoxError::from);
/// let error = service.oneshot(http::Request::default()).await.unwrap_err();
/// let refused = refusal(&error).expect("the first request of a limit has to wait");
/// assert!(refused.is_too_long() && refused.forecast().is_some());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    cause: Cause,
    waited: Duration,
    forecast: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Full { queued: usize },
    TooHeavy,
    TooLong,
    Late,
}

impl Refused {
    pub(super) fn full(queued: usize, forecast: Option<Duration>) -> Self {
        Self {
            cause: Cause::Full { queued },
            waited: Duration::ZERO,
            forecast,
        }
    }

    pub(crate) fn too_heavy() -> Self {
        Self {
            cause: Cause::TooHeavy,
            waited: Duration::ZERO,
            forecast: None,
        }
    }

    pub(super) fn too_long(waited: Duration, forecast: Option<Duration>) -> Self {
        Self {
            cause: Cause::TooLong,
            waited,
            forecast,
        }
    }

    pub(super) fn late(waited: Duration) -> Self {
        Self {
            cause: Cause::Late,
            waited,
            forecast: None,
        }
    }

    /// Says whether too many others waited already.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.cause, Cause::Full { .. })
    }

    /// Says whether the request costs more than the limit ever allows: to try again is of no use.
    #[must_use]
    pub fn is_too_heavy(&self) -> bool {
        self.cause == Cause::TooHeavy
    }

    /// Says whether the wait was, or would have been, too long; also if there was none, and the
    /// request's deadline had passed when it came.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        matches!(self.cause, Cause::TooLong | Cause::Late)
    }

    /// Returns how long the request had waited when it was refused.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns how much longer the wait would have been, by what was known then. It is none while
    /// only an answer to a request in flight could bring the turn, and if the deadline had passed.
    #[must_use]
    pub fn forecast(&self) -> Option<Duration> {
        self.forecast
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Full { queued } => write!(f, "not sent: {queued} requests wait already")?,
            Cause::TooHeavy => {
                return f.write_str("not sent: its cost is more than the limit ever allows");
            }
            Cause::TooLong => write!(f, "not sent after a wait of {:?}", self.waited)?,
            Cause::Late => {
                let waited = self.waited;
                return write!(
                    f,
                    "not sent: its deadline had passed after a wait of {waited:?}"
                );
            }
        }
        match self.forecast {
            Some(forecast) => write!(f, ", the turn would have come in {forecast:?}"),
            None => f.write_str(", nobody can tell when the turn would have come"),
        }
    }
}

impl Error for Refused {}
