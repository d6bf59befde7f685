use std::convert::Infallible;
use std::error;
use std::fmt;
use std::iter;
use std::marker::PhantomData;
use std::time::Duration;

pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

/// The error of a bounded limit and of a deadline.
///
/// ```
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_pace::wait::LimitKind;
/// use tower_pace::{DeadlineLayer, Quota, RateLimitLayer};
/// # use std::convert::Infallible;
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let client = service_fn(answer);
///
/// let limit = RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(5));
/// limit.handle().penalize(Duration::from_secs(60)); // as after a 429
/// let api = ServiceBuilder::new()
///     .layer(DeadlineLayer::new(Duration::from_secs(30)))
///     .layer(limit)
///     .service(client);
/// let error = api.oneshot(http::Request::default()).await.unwrap_err();
///
/// let rejected = error.rejection().expect("the gate is closed for a minute");
/// assert_eq!(rejected.limit(), LimitKind::Rate);
/// assert_eq!(rejected.forecast(), Some(Duration::from_secs(60)), "try again after that");
/// assert_eq!(error.to_string(), "rejected by the local rate limit, nothing was sent");
/// # }
/// ```
///
/// One of three things happened:
///
/// | what happened | question | answer |
/// |---|---|---|
/// | a limit rejected the wait | [`is_rejected`](Self::is_rejected) | [`rejection`](Self::rejection): which limit, why, and when to try again |
/// | the deadline passed | [`is_elapsed`](Self::is_elapsed) | |
/// | the inner service failed | neither | [`into_inner`](Self::into_inner) |
///
/// The questions are about this layer and all layers below it, whose `Error`s are nested in this
/// one. They are also about a layer inside of a client whose errors name their sources. `E` is an
/// error, a boxed error, or an `Error` around one of these. The type parameter `M` of the methods
/// is inferred.
///
/// [`was_sent`](crate::was_sent) says whether an attempt may have been processed. Outside of a
/// retry, an earlier attempt of the same call may have been sent as well.
///
/// A retry around a bounded limit returns a rejection at once, if it knows the client's error: one
/// of [`was_sent`](crate::was_sent), or one with a rule in the
/// [`Classifier`](crate::Classifier::not_sent_if). Around another error it retries the rejection.
///
/// # Get the inner error
///
/// An `Error` displays as the inner error does, and has the same source. So the inner error is no
/// source of its own; [`get_ref`](Self::get_ref) and [`into_inner`](Self::into_inner) return it
/// with its type. [`flatten`](Self::flatten) makes one `Error` of two.
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
/// # In a box
///
/// [`into_box`](Self::into_box) boxes an `Error`, even one around a boxed error, which is no
/// [`std::error::Error`]. [`Rejected::find`] and [`Elapsed::find`](crate::Elapsed::find)
/// answer the same questions about any error:
///
/// ```
/// use std::time::Duration;
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
/// use tower_pace::{Quota, RateLimitLayer, Rejected};
///
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, BoxError> {
/// #     Ok(http::Response::default())
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let client = service_fn(answer);
/// let limit = RateLimitLayer::new(Quota::per_second(100)).fail_fast();
/// limit.handle().penalize(Duration::from_secs(1)); // as after a 429
/// let api = ServiceBuilder::new()
///     .map_err(tower_pace::Error::into_box)
///     .layer(limit)
///     .service(client); // its error is boxed, too
/// let error: BoxError = api.oneshot(http::Request::default()).await.unwrap_err();
///
/// let rejected = Rejected::find(&error).expect("the gate is closed");
/// assert!(rejected.is_too_long() && rejected.forecast().is_some());
/// # }
/// ```
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

    /// Returns true if a bounded limit rejected the wait of an attempt, which was not sent.
    ///
    /// The limit is that of this layer or of one below it.
    #[must_use]
    pub fn is_rejected<M>(&self) -> bool
    where
        E: Chain<M>,
    {
        self.rejection().is_some()
    }

    /// Returns true if a deadline passed, before the call or before its response: that of this
    /// layer or of one below it.
    ///
    /// A bounded limit that rejects a wait because of the deadline [is rejected](Self::is_rejected)
    /// instead.
    #[must_use]
    pub fn is_elapsed<M>(&self) -> bool
    where
        E: Chain<M>,
    {
        match &self.kind {
            Kind::Late | Kind::Elapsed => true,
            Kind::Rejected(_) => false,
            Kind::Inner(error) => Elapsed::find(error).is_some(),
        }
    }

    /// Returns why the wait was rejected, if it was: which limit did it, and how much longer the
    /// wait would have been.
    #[must_use]
    pub fn rejection<M>(&self) -> Option<&Rejected>
    where
        E: Chain<M>,
    {
        match &self.kind {
            Kind::Rejected(rejected) => Some(rejected),
            Kind::Late | Kind::Elapsed => None,
            Kind::Inner(error) => Rejected::find(error),
        }
    }

    /// Returns true if this layer, and none below it, proves that nothing was sent.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self.kind, Kind::Rejected(_) | Kind::Late)
    }

    /// Returns the inner service's error, if it failed.
    #[must_use]
    pub const fn get_ref(&self) -> Option<&E> {
        match &self.kind {
            Kind::Inner(error) => Some(error),
            Kind::Rejected(_) | Kind::Late | Kind::Elapsed => None,
        }
    }

    /// Returns the inner service's error, if it failed. If the inner service is a bounded limit, it
    /// may be a rejection; see [`flatten`](Self::flatten).
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self.kind {
            Kind::Inner(error) => Some(error),
            Kind::Rejected(_) | Kind::Late | Kind::Elapsed => None,
        }
    }

    /// Boxes the error: the inner error as it is, or an `Error` that was rejected or is elapsed.
    ///
    /// A boxed inner error keeps its box. If the inner error is an `Error` itself, around an error
    /// with a type of its own, both are in the box. [`flatten`](Self::flatten) makes one of them
    /// before:
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
    /// use tower_pace::{ConcurrencyLayer, DeadlineLayer, Error};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    ///
    /// let broken = service_fn(|_: http::Request<String>| async {
    ///     Err::<http::Response<String>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    /// });
    /// let service = ServiceBuilder::new()
    ///     .map_err(Error::into_box)
    ///     .map_err(Error::flatten)
    ///     .layer(DeadlineLayer::new(Duration::from_secs(5)))
    ///     .layer(ConcurrencyLayer::new(1).fail_fast())
    ///     .service(broken);
    /// let error: BoxError = service.oneshot(http::Request::default()).await.unwrap_err();
    /// assert!(error.is::<io::Error>());
    /// # }
    /// ```
    #[must_use]
    pub fn into_box<M>(self) -> BoxError
    where
        E: Chain<M> + Send + Sync,
    {
        boxed(self)
    }
}

impl<E> Error<Error<E>> {
    /// Returns the one `Error` that is left of two: the outer one, or the inner one if the inner
    /// service failed.
    ///
    /// ```
    /// use std::io;
    /// use tower_pace::Error;
    ///
    /// /// Returns the client's error below a `DeadlineLayer` and a bounded rate limit.
    /// fn client_error(error: Error<Error<io::Error>>) -> Option<io::Error> {
    ///     error.flatten().into_inner()
    /// }
    /// ```
    #[must_use]
    pub fn flatten(self) -> Error<E> {
        let kind = match self.kind {
            Kind::Inner(error) => return error,
            Kind::Rejected(rejected) => Kind::Rejected(rejected),
            Kind::Late => Kind::Late,
            Kind::Elapsed => Kind::Elapsed,
        };
        Error { kind }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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

    /// Returns the rejection in the chain of `error`, if a bounded limit rejected a wait.
    ///
    /// `error` is any [`std::error::Error`], a `Box<dyn Error + Send + Sync>`, an [`Error`] around
    /// one of these, or a `&dyn Error`. Of another box, such as `Box<dyn Error>` or
    /// `anyhow::Error`, pass `&*error`. The type parameter `M` is inferred.
    ///
    /// ```
    /// use std::error::Error;
    /// use std::io;
    /// use tower_pace::Rejected;
    ///
    /// let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    /// assert!(Rejected::find(&reset).is_none());
    /// let boxed: Box<dyn Error + Send + Sync> = reset.into();
    /// assert!(Rejected::find(&boxed).is_none());
    /// ```
    #[must_use]
    pub fn find<E, M>(error: &E) -> Option<&Self>
    where
        E: Chain<M> + ?Sized,
    {
        find(error)
    }

    /// Returns the kind of the limit that rejected the wait.
    #[must_use]
    pub const fn limit(&self) -> LimitKind {
        self.limit
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

    /// Returns true if the wait was, or would have been, too long: longer than `max_wait`, or than
    /// the [`Deadline`](crate::Deadline) of the request allows. It includes
    /// [`is_late`](Self::is_late).
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        matches!(self.cause, Cause::TooLong | Cause::Late)
    }

    /// Returns true if the [`Deadline`](crate::Deadline) of the request had passed when it came, or
    /// passed while it waited.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self.cause, Cause::Late)
    }

    /// Returns how long the request had waited when it was rejected.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns how much longer the wait would have been, as far as it was known then. After that
    /// time a new attempt may depart, unless others were faster.
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
            Some(forecast) => write!(f, ", the forecast of the rest was {forecast:?}"),
            None => f.write_str(", the rest of the wait could not be forecast"),
        }
    }
}

impl error::Error for Rejected {}

/// A deadline that passed: the source of the [`Error`] that [says so](Error::is_elapsed).
///
/// It carries nothing. It is there to be [found](Self::find) in a chain of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed;

impl Elapsed {
    /// Returns it if it is in the chain of `error`; see [`Rejected::find`](crate::Rejected::find).
    #[must_use]
    pub fn find<E, M>(error: &E) -> Option<&Self>
    where
        E: Chain<M> + ?Sized,
    {
        find(error)
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl error::Error for Elapsed {}

/// An error whose sources can be searched: any [`std::error::Error`], a boxed one, or an [`Error`]
/// around a boxed one.
///
/// A box is no [`std::error::Error`], and so an [`Error`] around it is none either. `M` tells the
/// implementations apart, which would overlap without it. It is always inferred.
#[diagnostic::on_unimplemented(
    message = "the sources of `{Self}` cannot be searched",
    label = "neither an error, a boxed one, nor a `tower_pace::Error` around one of them",
    note = "pass `&*error` if it is a `Box<dyn Error>`"
)]
#[expect(
    unnameable_types,
    reason = "sealed, and a caller in generic code names `std::error::Error` instead"
)]
pub trait Chain<M> {
    /// Returns the error with which the chain begins.
    fn first(&self) -> &(dyn error::Error + 'static);

    /// Boxes the error. An error that is boxed keeps its box.
    fn into_box(self) -> BoxError
    where
        Self: Sized + Send + Sync;
}

/// Marks an error with a type of its own.
#[expect(unnameable_types, reason = "only inferred")]
#[derive(Debug)]
pub struct Typed;

/// Marks an error that is not `Sized`.
#[expect(unnameable_types, reason = "only inferred")]
#[derive(Debug)]
pub struct Unsized;

/// Marks a boxed error, and each [`Error`] around it once more.
#[expect(unnameable_types, reason = "only inferred")]
#[derive(Debug)]
pub struct Boxed<M>(PhantomData<M>);

impl<E: error::Error + 'static> Chain<Typed> for E {
    fn first(&self) -> &(dyn error::Error + 'static) {
        self
    }

    fn into_box(self) -> BoxError
    where
        Self: Send + Sync,
    {
        Box::new(self)
    }
}

impl Chain<Unsized> for dyn error::Error {
    fn first(&self) -> &(dyn error::Error + 'static) {
        self
    }
}

impl Chain<Unsized> for dyn error::Error + Send + Sync {
    fn first(&self) -> &(dyn error::Error + 'static) {
        self
    }
}

impl Chain<Boxed<()>> for BoxError {
    fn first(&self) -> &(dyn error::Error + 'static) {
        &**self
    }

    fn into_box(self) -> BoxError {
        self
    }
}

impl<E: Chain<Boxed<M>> + Send + Sync, M> Chain<Boxed<Boxed<M>>> for Error<E> {
    fn first(&self) -> &(dyn error::Error + 'static) {
        match &self.kind {
            Kind::Rejected(rejected) => rejected,
            Kind::Late | Kind::Elapsed => &Elapsed,
            Kind::Inner(error) => error.first(),
        }
    }

    fn into_box(self) -> BoxError {
        boxed(self)
    }
}

/// Boxes the inner error, or an [`Error`] of the same kind without one.
fn boxed<E: Chain<M> + Send + Sync, M>(error: Error<E>) -> BoxError {
    let outer: Kind<Infallible> = match error.kind {
        Kind::Inner(error) => return error.into_box(),
        Kind::Rejected(rejected) => Kind::Rejected(rejected),
        Kind::Late => Kind::Late,
        Kind::Elapsed => Kind::Elapsed,
    };
    Box::new(Error { kind: outer })
}

/// Returns the first `T` in the chain of an error.
fn find<T, E, M>(error: &E) -> Option<&T>
where
    T: error::Error + 'static,
    E: Chain<M> + ?Sized,
{
    let mut errors = iter::successors(Some(error.first()), |error| error.source());
    errors.find_map(|error| error.downcast_ref())
}

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
             3 requests were queued, the forecast of the rest was 1s",
        );
        check(
            Rejected::too_heavy(LimitKind::Rate),
            "rejected by the local rate limit, nothing was sent: its cost is above the limit",
        );
        check(
            Rejected::too_long(LimitKind::Concurrency, SECOND, None),
            "rejected by the local concurrency limit, nothing was sent: \
             it waited 1s, the rest of the wait could not be forecast",
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
        fn check(error: Error<io::Error>, rejected: bool, elapsed: bool, inner: bool) {
            assert_eq!(error.is_rejected(), rejected);
            assert_eq!(error.rejection().is_some(), rejected);
            assert_eq!(error.is_elapsed(), elapsed);
            assert_eq!(error.get_ref().is_some(), inner);
            assert_eq!(error.into_inner().is_some(), inner);
        }
        let rejected = Error::rejected(Rejected::too_heavy(LimitKind::Rate));
        check(rejected, true, false, false);
        check(Error::elapsed(), false, true, false);
        check(Error::late(), false, true, false);
        check(Error::inner(reset()), false, false, true);
    }

    fn reset() -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }

    fn boxed(error: impl error::Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    /// An error of a client around another one, which is its source.
    #[derive(Debug)]
    struct ClientError(BoxError);

    impl fmt::Display for ClientError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the client failed")
        }
    }

    impl error::Error for ClientError {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            Some(&*self.0)
        }
    }

    const REJECTED: Rejected = Rejected::too_long(LimitKind::Rate, SECOND, Some(SECOND));

    #[track_caller]
    fn check<E: Chain<M>, M>(error: &Error<E>, rejected: bool, elapsed: bool) {
        assert_eq!(error.rejection(), rejected.then_some(&REJECTED));
        assert_eq!(error.is_rejected(), rejected);
        assert_eq!(error.is_elapsed(), elapsed);
    }

    #[test]
    fn the_predicates_look_into_nested_errors_with_any_type_inside() {
        type Twice = Error<Error<ClientError>>;
        type Thrice = Error<Error<Error<ClientError>>>;
        check::<Error<ClientError>, _>(&Twice::rejected(REJECTED), true, false);
        check(&Twice::inner(Error::rejected(REJECTED)), true, false);
        check(
            &Thrice::inner(Twice::inner(Error::rejected(REJECTED))),
            true,
            false,
        );
        check(&Twice::inner(Error::elapsed()), false, true);
        check(&Thrice::inner(Twice::inner(Error::late())), false, true);
        check(
            &Twice::inner(Error::inner(ClientError(boxed(reset())))),
            false,
            false,
        );
    }

    #[test]
    fn the_predicates_look_into_boxes() {
        type Once = Error<BoxError>;
        type Twice = Error<Error<BoxError>>;
        check(&Once::rejected(REJECTED), true, false);
        check(&Twice::inner(Error::rejected(REJECTED)), true, false);
        check(
            &Error::inner(Twice::inner(Error::rejected(REJECTED))),
            true,
            false,
        );
        check(&Twice::inner(Error::late()), false, true);
        check(
            &Once::inner(boxed(Error::<io::Error>::rejected(REJECTED))),
            true,
            false,
        );
        check(
            &Twice::inner(Once::inner(boxed(Error::<io::Error>::elapsed()))),
            false,
            true,
        );
        check(&Twice::inner(Once::inner(boxed(reset()))), false, false);
    }

    #[test]
    fn a_rejection_is_found_in_every_form_of_an_error() {
        let typed = Error::<io::Error>::rejected(REJECTED);
        assert_eq!(Rejected::find(&typed), Some(&REJECTED));
        let nested = Error::inner(Error::<BoxError>::rejected(REJECTED));
        assert_eq!(Rejected::find(&nested), Some(&REJECTED));
        let by_client = ClientError(boxed(typed));
        assert_eq!(Rejected::find(&by_client), Some(&REJECTED));
        assert_eq!(
            Rejected::find::<dyn error::Error, _>(&by_client),
            Some(&REJECTED)
        );
        check(
            &Error::inner(ClientError(boxed(Error::<io::Error>::late()))),
            false,
            true,
        );
        let in_a_box = boxed(by_client);
        assert_eq!(Rejected::find(&in_a_box), Some(&REJECTED));
        assert_eq!(Rejected::find(&*in_a_box), Some(&REJECTED));
        let unsendable: Box<dyn error::Error> = Box::new(REJECTED);
        assert_eq!(Rejected::find(&*unsendable), Some(&REJECTED));
        assert_eq!(Rejected::find(&REJECTED), Some(&REJECTED));
        assert_eq!(Rejected::find(&reset()), None);
        assert_eq!(Elapsed::find(&in_a_box), None);
        assert_eq!(Elapsed::find(&boxed(Elapsed)), Some(&Elapsed));
    }

    #[test]
    fn an_error_in_a_box_keeps_its_text_and_its_kind() {
        #[track_caller]
        fn check<E, M>(error: impl Fn() -> Error<E>, rejected: bool, elapsed: bool)
        where
            E: Chain<M> + fmt::Display + Send + Sync + 'static,
        {
            let boxed = error().into_box();
            assert_eq!(boxed.to_string(), error().to_string());
            assert_eq!(Rejected::find(&boxed).is_some(), rejected);
            assert_eq!(Elapsed::find(&boxed).is_some(), elapsed);
        }
        fn check_all<E, M>(inner: impl Fn() -> E)
        where
            E: Chain<M> + fmt::Display + Send + Sync + 'static,
        {
            check(|| Error::<E>::rejected(REJECTED), true, false);
            check(Error::<E>::late, false, true);
            check(Error::<E>::elapsed, false, true);
            check(|| Error::inner(inner()), false, false);
        }
        check_all(reset);
        check_all(|| boxed(reset()));
        check_all(|| Error::inner(reset()));
        check_all(|| Error::inner(boxed(reset())));
        check(
            || Error::inner(Error::<BoxError>::rejected(REJECTED)),
            true,
            false,
        );
    }

    #[test]
    fn an_inner_error_has_no_error_around_it_in_a_box() {
        let typed = Error::inner(reset()).into_box();
        assert!(typed.is::<io::Error>());
        let twice = Error::inner(Error::inner(boxed(reset()))).into_box();
        assert!(twice.is::<io::Error>());
        let flat = Error::inner(Error::inner(reset())).flatten().into_box();
        assert!(flat.is::<io::Error>());
    }

    #[test]
    fn a_flat_error_is_of_the_kind_of_the_two() {
        let flat = |error: Error<Error<io::Error>>| error.flatten().to_string();
        for error in [Error::rejected(REJECTED), Error::late(), Error::elapsed()] {
            let text = error.to_string();
            assert_eq!(flat(error), text);
        }
        let inner = [
            Error::rejected(REJECTED),
            Error::late(),
            Error::inner(reset()),
        ];
        for error in inner {
            let text = error.to_string();
            assert_eq!(flat(Error::inner(error)), text);
        }
    }
}
