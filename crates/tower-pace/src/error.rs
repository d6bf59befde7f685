use std::error;
use std::fmt;
use std::time::Duration;

/// The error of a bounded limit and of a deadline.
///
/// One of three things happened:
///
/// - The wait was [rejected](Self::rejection), and nothing was sent.
/// - The [deadline](Self::is_elapsed) passed.
/// - The [inner service](Self::get_ref) failed.
///
/// [`was_sent`](crate::was_sent) says whether the request may have been processed.
///
/// # Get the inner error
///
/// An `Error` displays as the inner error does, and has the same source. So the inner error is no
/// source of its own; [`get_ref`](Self::get_ref) and [`into_inner`](Self::into_inner) return it
/// with its type:
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_pace::{ConcurrencyLayer, Error};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
///
/// let broken = service_fn(|_: http::Request<String>| async {
///     Err::<http::Response<String>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
/// });
/// let service = ConcurrencyLayer::new(1).max_wait(Duration::from_secs(1)).layer(broken);
/// let error: Error<io::Error> = service.oneshot(http::Request::default()).await.unwrap_err();
///
/// assert_eq!(error.to_string(), "connection reset");
/// let inner = error.into_inner().expect("neither rejected nor elapsed");
/// assert_eq!(inner.kind(), io::ErrorKind::ConnectionReset);
/// # }
/// ```
///
/// # Find a rejection in a box
///
/// A rejected wait has its [`Rejected`] as the source, whatever else wraps it:
///
/// ```
/// use std::error::Error;
/// use std::time::Duration;
/// use tower::{BoxError, Layer, ServiceExt, service_fn};
/// use tower_pace::{Quota, RateLimitLayer, Rejected};
/// # use std::convert::Infallible;
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
///
/// fn rejection(error: &BoxError) -> Option<&Rejected> {
///     let first: &(dyn Error + 'static) = &**error;
///     let mut sources = std::iter::successors(Some(first), |&error| error.source());
///     sources.find_map(|error| error.downcast_ref())
/// }
///
/// let layer = RateLimitLayer::new(Quota::per_second(100)).fail_fast();
/// layer.handle().penalize(Duration::from_secs(1)); // as after a 429
/// let service = layer.layer(service_fn(answer)).map_err(BoxError::from);
/// let error = service.oneshot(http::Request::default()).await.unwrap_err();
///
/// assert_eq!(error.to_string(), "rejected by the local rate limit, nothing was sent");
/// let rejected = rejection(&error).expect("the gate is closed");
/// assert!(rejected.is_too_long() && rejected.forecast().is_some());
/// # }
/// ```
///
/// A passed deadline is found in the same way, by its source
/// [`Elapsed`](crate::deadline::Elapsed).
#[derive(Debug)]
pub struct Error<E> {
    kind: Kind<E>,
}

#[derive(Debug)]
enum Kind<E> {
    Rejected(Rejected),
    /// The deadline had passed before the call.
    Late,
    Elapsed,
    Inner(E),
}

impl<E> Error<E> {
    pub(crate) const fn rejected(rejected: Rejected) -> Self {
        Self {
            kind: Kind::Rejected(rejected),
        }
    }

    pub(crate) const fn late() -> Self {
        Self { kind: Kind::Late }
    }

    pub(crate) const fn elapsed() -> Self {
        Self {
            kind: Kind::Elapsed,
        }
    }

    pub(crate) const fn inner(error: E) -> Self {
        Self {
            kind: Kind::Inner(error),
        }
    }

    /// Returns true if a bounded limit rejected the wait. Then nothing was sent.
    ///
    /// It asks this layer alone. A limit below a [`DeadlineLayer`](crate::DeadlineLayer), say,
    /// rejects with an `Error` inside of this one: see [`get_ref`](Self::get_ref).
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        matches!(self.kind, Kind::Rejected(_))
    }

    /// Returns true if the deadline passed, before the call or before its response.
    ///
    /// A bounded limit that rejects a wait because of the deadline [is rejected](Self::is_rejected)
    /// instead.
    #[must_use]
    pub const fn is_elapsed(&self) -> bool {
        matches!(self.kind, Kind::Elapsed | Kind::Late)
    }

    /// Returns true if the deadline had passed before the call, so that nothing was sent.
    pub(crate) const fn is_late(&self) -> bool {
        matches!(self.kind, Kind::Late)
    }

    /// Returns why the wait was rejected, if it was.
    #[must_use]
    pub const fn rejection(&self) -> Option<&Rejected> {
        match &self.kind {
            Kind::Rejected(rejected) => Some(rejected),
            Kind::Late | Kind::Elapsed | Kind::Inner(_) => None,
        }
    }

    /// Returns the inner service's error, if it failed.
    #[must_use]
    pub const fn get_ref(&self) -> Option<&E> {
        match &self.kind {
            Kind::Inner(error) => Some(error),
            Kind::Rejected(_) | Kind::Late | Kind::Elapsed => None,
        }
    }

    /// Returns the inner service's error, if it failed.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self.kind {
            Kind::Inner(error) => Some(error),
            Kind::Rejected(_) | Kind::Late | Kind::Elapsed => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Rejected(rejected) => {
                let limit = match rejected.limit {
                    LimitKind::Rate => "rate",
                    LimitKind::Concurrency => "concurrency",
                };
                write!(f, "rejected by the local {limit} limit, nothing was sent")
            }
            Kind::Late => f.write_str("the deadline had passed before the call, nothing was sent"),
            Kind::Elapsed => f.write_str(
                "the deadline passed before the response, the request may have been sent",
            ),
            Kind::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: error::Error> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            Kind::Rejected(rejected) => Some(rejected),
            Kind::Late | Kind::Elapsed => Some(&Elapsed),
            // Not the inner error itself: its text is this one's, and a chain would print it twice.
            Kind::Inner(error) => error.source(),
        }
    }
}

/// Why a bounded limit rejected a wait. Nothing was sent.
///
/// It is the source of the [`Error`] that [says so](Error::is_rejected). Its own text is the detail
/// for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    limit: LimitKind,
    cause: Cause,
    waited: Duration,
    forecast: Option<Duration>,
}

/// The limit that rejected a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    unnameable_types,
    reason = "it passes through the sealed half of `WaitPolicy`, and is not for users"
)]
pub enum LimitKind {
    /// A [`RateLimit`](crate::RateLimit).
    Rate,
    /// A [`Concurrency`](crate::Concurrency) limit.
    Concurrency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Half a `usize`: a whole one would make the error, and with it some futures, larger.
    Full {
        queued: u32,
    },
    TooHeavy,
    TooLong,
    Late,
}

impl Rejected {
    pub(crate) fn full(limit: LimitKind, queued: usize, forecast: Option<Duration>) -> Self {
        Self {
            limit,
            cause: Cause::Full {
                queued: u32::try_from(queued).unwrap_or(u32::MAX),
            },
            waited: Duration::ZERO,
            forecast,
        }
    }

    pub(crate) const fn too_heavy(limit: LimitKind) -> Self {
        Self {
            limit,
            cause: Cause::TooHeavy,
            waited: Duration::ZERO,
            forecast: None,
        }
    }

    pub(crate) const fn too_long(
        limit: LimitKind,
        waited: Duration,
        forecast: Option<Duration>,
    ) -> Self {
        Self {
            limit,
            cause: Cause::TooLong,
            waited,
            forecast,
        }
    }

    pub(crate) const fn late(limit: LimitKind, waited: Duration) -> Self {
        Self {
            limit,
            cause: Cause::Late,
            waited,
            forecast: None,
        }
    }

    /// Returns true if too many others were queued already.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.cause, Cause::Full { .. })
    }

    /// Returns true if the request costs more than the limit ever allows. A retry is of no use.
    #[must_use]
    pub const fn is_too_heavy(&self) -> bool {
        matches!(self.cause, Cause::TooHeavy)
    }

    /// Returns true if the wait was, or would have been, too long. That includes a request whose
    /// deadline had passed when it came.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        matches!(self.cause, Cause::TooLong | Cause::Late)
    }

    /// Returns how long the request had waited when it was rejected.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns how much longer the wait would have been, as far as it was known then.
    ///
    /// It is `None` while only the end of a request in flight can make room, and if the deadline
    /// had passed.
    #[must_use]
    pub const fn forecast(&self) -> Option<Duration> {
        self.forecast
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited;
        match self.cause {
            Cause::TooHeavy => return f.write_str("its cost is above the limit"),
            Cause::Late => return write!(f, "its deadline passed after a wait of {waited:?}"),
            Cause::Full { queued } => write!(f, "{queued} requests were queued")?,
            Cause::TooLong => write!(f, "it waited {waited:?}")?,
        }
        match self.forecast {
            Some(forecast) => write!(f, ", the forecast was another {forecast:?}"),
            None => f.write_str(", the rest of the wait depended on requests in flight"),
        }
    }
}

impl error::Error for Rejected {}

/// A deadline that passed: the source of the [`Error`] that [says so](Error::is_elapsed).
///
/// It carries nothing. It is there to be found behind a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl error::Error for Elapsed {}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An error with a source.
    fn failed() -> Error<io::Error> {
        let source = Error::<io::Error>::elapsed();
        Error::inner(io::Error::other(source))
    }

    /// Joins the texts of an error and all its sources.
    fn chain(error: &dyn error::Error) -> String {
        let source = error.source().map(|source| format!(": {}", chain(source)));
        format!("{error}{}", source.unwrap_or_default())
    }

    #[test]
    fn an_error_says_the_innermost_truth_and_its_source_the_detail() {
        fn check(rejected: Rejected, expected: &str) {
            let error = Error::<io::Error>::rejected(rejected);
            assert_eq!(chain(&error), expected);
            assert_eq!(chain(&Error::inner(Error::inner(error))), expected);
        }
        check(
            Rejected::full(LimitKind::Rate, 3, Some(SECOND)),
            "rejected by the local rate limit, nothing was sent: \
             3 requests were queued, the forecast was another 1s",
        );
        check(
            Rejected::too_heavy(LimitKind::Rate),
            "rejected by the local rate limit, nothing was sent: its cost is above the limit",
        );
        check(
            Rejected::too_long(LimitKind::Concurrency, SECOND, None),
            "rejected by the local concurrency limit, nothing was sent: \
             it waited 1s, the rest of the wait depended on requests in flight",
        );
        check(
            Rejected::late(LimitKind::Concurrency, SECOND),
            "rejected by the local concurrency limit, nothing was sent: \
             its deadline passed after a wait of 1s",
        );
    }

    #[test]
    fn an_elapsed_deadline_says_whether_the_request_may_have_been_sent() {
        assert_eq!(
            chain(&Error::<io::Error>::late()),
            "the deadline had passed before the call, nothing was sent: deadline has elapsed"
        );
        assert_eq!(
            chain(&Error::<io::Error>::elapsed()),
            "the deadline passed before the response, the request may have been sent: \
             deadline has elapsed"
        );
    }

    #[test]
    fn an_inner_error_is_transparent() {
        let text = failed().into_inner().unwrap().to_string();
        assert_eq!(failed().to_string(), text);
        let error = failed();
        let inner = error.get_ref().unwrap();
        let sources = (error.source().unwrap(), inner.source().unwrap());
        assert!(std::ptr::eq(sources.0, sources.1));
    }

    #[test]
    fn the_predicates_tell_the_three_kinds_apart() {
        fn check<E>(error: Error<E>, rejected: bool, elapsed: bool, inner: bool) {
            assert_eq!(error.is_rejected(), rejected);
            assert_eq!(error.rejection().is_some(), rejected);
            assert_eq!(error.is_elapsed(), elapsed);
            assert_eq!(error.get_ref().is_some(), inner);
            assert_eq!(error.into_inner().is_some(), inner);
        }
        let rejected = Error::<()>::rejected(Rejected::too_heavy(LimitKind::Rate));
        check(rejected, true, false, false);
        check(Error::<()>::elapsed(), false, true, false);
        check(Error::<()>::late(), false, true, false);
        check(failed(), false, false, true);
    }
}
