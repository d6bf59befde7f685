//! The meaning of responses and errors beyond the defaults, for the retry and the rate limit alike.

use std::any::Any;
use std::error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use pacing::fields::LimitFields;
use pacing::retry::Verdict;

use crate::hint_headers::HintHeaders;
use crate::was_sent::{Proof, proof, proof_by};

mod grpc;

static DEFAULT_HINTS: HintHeaders = HintHeaders::DEFAULT;

/// Says what the responses and errors of a server and its client mean, where the defaults do not
/// know it.
///
/// Make one, and give it to both layers:
///
/// ```
/// use std::io;
/// use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
/// use tower_pace::{Classifier, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
///
/// #[derive(Debug, PartialEq)]
/// enum ClientError { Connect, Reset }
/// # impl std::fmt::Display for ClientError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("-") }
/// # }
/// # impl std::error::Error for ClientError {}
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let client = service_fn(|_: http::Request<String>| async {
/// #     Err::<http::Response<String>, _>(ClientError::Connect)
/// # });
/// let errors = Classifier::new().not_sent_if(|error| ClientError::Connect.eq(error));
/// let limit = RateLimitLayer::new(Quota::per_second(100)).classifier(errors.clone());
/// let retry = RetryLayer::new(RetryPolicy::default().attempts(3)).classifier(errors);
/// let stack = ServiceBuilder::new().layer(retry).layer(&limit).service(client);
/// let post = http::Request::post("/").body(String::new()).unwrap();
/// assert_eq!(stack.oneshot(post).await.unwrap_err(), ClientError::Connect);
/// assert_eq!(limit.handle().snapshot().counters.unsent, 3);
/// # }
/// ```
///
/// The POST is sent again, since nothing was sent, and each attempt releases its slot.
///
/// # Responses
///
/// [`classify`](Self::classify) sees the status and the header fields. This one knows the 403 of
/// servers that throttle with it:
///
/// ```
/// use tower_pace::Classifier;
/// use tower_pace::retry::Verdict;
///
/// let classifier = Classifier::new().classify(|status, headers| {
///     let is_used_up = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
///     (status == 403 && is_used_up).then_some(Verdict::Throttled)
/// });
/// # assert!(format!("{classifier:?}").contains("Classifier"));
/// ```
///
/// | verdict | retry | rate limit |
/// |---|---|---|
/// | [`Throttled`](Verdict::Throttled) | sent again, whatever the method | as a 429: the gate closes |
/// | [`Transient`](Verdict::Transient) | sent again, if a replay is safe | as by the status; a success counts as the response of a gateway, which releases no slot |
/// | [`Conflict`](Verdict::Conflict) | sent again, if it has an idempotency key | as by the status |
/// | [`Final`](Verdict::Final) | returned | as by the status, but a 429 closes no gate |
///
/// After such a `Throttled` the retry waits as long as `Retry-After` or one of the
/// [`HintHeaders`] says. Without one it waits until the reset of a limit in the response that has
/// nothing left.
///
/// # Order
///
/// The rule that was added last is asked first. A rule without a verdict passes the response on to
/// the one before it, and the first one to [`RetryPolicy::classify`](crate::RetryPolicy::classify).
/// The server's own flag, in one of the [`HintHeaders`], overrules all of them.
///
/// Rules run in the task of the request, without any lock, and must not block. A rule sees every
/// response. A clone is cheap, and the default allocates nothing.
#[derive(Clone, Default)]
pub struct Classifier {
    /// What differs from the defaults, if anything does.
    rules: Option<Arc<Rules>>,
}

#[derive(Clone, Default)]
struct Rules {
    hints: HintHeaders,
    responses: Vec<Arc<ResponseRule>>,
    errors: Vec<Arc<ErrorRule>>,
    reads_grpc: bool,
}

type ResponseRule = dyn Fn(StatusCode, &HeaderMap) -> Option<Verdict> + Send + Sync;
type ErrorRule = dyn Fn(&dyn Any) -> Proof + Send + Sync;

impl Classifier {
    pub(crate) const DEFAULT: Self = Self { rules: None };

    /// Returns a classifier that knows only the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self::DEFAULT
    }

    /// Returns a classifier of gRPC responses without a message, which have their status in the
    /// header field `grpc-status`.
    ///
    /// | status | verdict |
    /// |---|---|
    /// | 14, `UNAVAILABLE` | [`Transient`](Verdict::Transient) |
    /// | 8, `RESOURCE_EXHAUSTED`, with a `google.rpc.RetryInfo` or a `grpc-retry-pushback-ms` | [`Throttled`](Verdict::Throttled), for the time that these say |
    /// | any other, or a `grpc-retry-pushback-ms` that is not a number | [`Final`](Verdict::Final) |
    ///
    /// Without a time, `RESOURCE_EXHAUSTED` may be permanent, such as a message that is too large.
    /// The status of a response with a message is in its trailers, which come too late for a retry.
    ///
    /// Each gRPC call is a POST. Mark the calls that may be sent twice with
    /// [`Replay`](crate::Replay), or all of them:
    ///
    /// ```
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_pace::{Classifier, RetryLayer, RetryPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = RetryPolicy::default().replays(|_| true);
    /// let retry = RetryLayer::new(policy).classifier(Classifier::grpc());
    /// # let channel = service_fn(|request: http::Request<String>| async move {
    /// #     let is_first = request.extensions().get::<tower_pace::Attempt>().is_none();
    /// #     let status = if is_first { "14" } else { "0" };
    /// #     let response = http::Response::builder().header("grpc-status", status);
    /// #     Ok::<_, std::convert::Infallible>(response.body(String::new()).unwrap())
    /// # });
    /// # let call = http::Request::post("/echo.Echo/Say").body(String::new()).unwrap();
    /// let response = retry.layer(channel).oneshot(call).await.unwrap();
    /// assert_eq!(response.headers()["grpc-status"], "0", "the first attempt got a 14");
    /// # }
    /// ```
    #[must_use]
    pub fn grpc() -> Self {
        let mut grpc = Self::new().classify(grpc::verdict);
        grpc.rules_mut().reads_grpc = true;
        grpc
    }

    /// Adds a rule for responses. `classify` gets the status and the header fields, and returns a
    /// verdict or `None`, which leaves the response to the other rules.
    ///
    /// Return [`Verdict::Throttled`] only for a response that proves that the request was not
    /// processed: the request is sent again whatever its method.
    #[must_use]
    pub fn classify(
        mut self,
        classify: impl Fn(StatusCode, &HeaderMap) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Self {
        self.rules_mut().responses.push(Arc::new(classify));
        self
    }

    /// Adds the errors of type `E` for which `is_not_sent` returns true: each proves that its
    /// request was not sent, or not processed.
    ///
    /// An `E` is found as it is, in a box, and in the [wrappers](crate::was_sent) of this crate. So
    /// is a rejected wait around an `E`, whatever `is_not_sent` returns. An error that
    /// [`was_sent`](crate::was_sent) knows by itself needs no rule.
    ///
    /// Return true only if no byte of the request can have arrived, for example if the client could
    /// not connect. A request with such an error is sent again whatever its method, and its slot is
    /// free at once. A timeout proves nothing.
    #[must_use]
    pub fn not_sent_if<E>(
        mut self,
        is_not_sent: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        E: error::Error + 'static,
    {
        let of_error = move |error: &E| match is_not_sent(error) {
            true => Proof::NotSent,
            false => Proof::None,
        };
        let rule = move |error: &dyn Any| proof_by(error, &of_error);
        self.rules_mut().errors.push(Arc::new(rule));
        self
    }

    /// Reads the fields in `headers` instead of the [default list](HintHeaders). In such a field a
    /// server says when and whether to retry.
    #[must_use]
    pub fn hint_headers(mut self, headers: HintHeaders) -> Self {
        self.rules_mut().hints = headers;
        self
    }

    /// Returns false if `error` proves that the request was not sent, or that the server did not
    /// process it: by one of the rules, or as [`was_sent`](crate::was_sent) knows it.
    #[must_use]
    pub fn was_sent<E: 'static>(&self, error: &E) -> bool {
        self.proof(error) == Proof::None
    }

    pub(crate) fn proof<E: 'static>(&self, error: &E) -> Proof {
        let by_rule = |rules: &Rules| {
            let rules = rules.errors.iter();
            rules.fold(Proof::None, |proof, rule| proof.or_else(|| rule(error)))
        };
        let by_rules = self.rules.as_deref().map_or(Proof::None, by_rule);
        by_rules.or_else(|| proof(error))
    }

    /// Returns the verdict of the rules, if one of them has one.
    #[inline]
    pub(crate) fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Option<Verdict> {
        let mut rules = self.rules.as_deref()?.responses.iter().rev();
        rules.find_map(|classify| classify(status, headers))
    }

    /// Returns whether a response asks to send the request again, if it says so.
    pub(crate) fn should_retry(&self, headers: &HeaderMap) -> Option<bool> {
        self.hints().should_retry(headers)
    }

    /// Returns the delay for which a response asks, if it does. The caller must bound it.
    pub(crate) fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let reads_grpc = self.rules.as_deref().is_some_and(|rules| rules.reads_grpc);
        let by_grpc = reads_grpc.then(|| grpc::retry_after(headers)).flatten();
        self.hints().retry_after(headers).max(by_grpc)
    }

    /// Returns the same for a response that a rule takes as throttled. If it asks for no delay,
    /// this is the time to the reset of its used up limits.
    pub(crate) fn throttled_for(&self, headers: &HeaderMap) -> Option<Duration> {
        self.retry_after(headers).or_else(|| {
            let fields = headers.iter();
            let fields = fields.map(|(name, value)| (name.as_str(), value.as_bytes()));
            let limits = LimitFields::read(fields).limits.into_iter();
            let used_up = limits.filter(|limit| limit.remaining == 0);
            used_up.map(|limit| limit.reset).max()
        })
    }

    fn hints(&self) -> &HintHeaders {
        let rules = self.rules.as_deref();
        rules.map_or(&DEFAULT_HINTS, |rules| &rules.hints)
    }

    /// Returns the rules, apart from those of any clone.
    fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(self.rules.get_or_insert_default())
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.as_deref();
        f.debug_struct("Classifier")
            .field("responses", &rules.map_or(0, |rules| rules.responses.len()))
            .field("errors", &rules.map_or(0, |rules| rules.errors.len()))
            .field("hint_headers", self.hints())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderValue;

    use super::*;
    use crate::error::{BoxError, Error, LimitKind, Rejected};

    #[derive(Debug)]
    enum ClientError {
        Connect,
        Reset,
    }

    impl fmt::Display for ClientError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl error::Error for ClientError {}

    fn taught() -> Classifier {
        Classifier::new().not_sent_if(|error: &ClientError| matches!(error, ClientError::Connect))
    }

    fn boxed(error: impl error::Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    fn behind_limits<E>(error: E) -> Error<Error<Error<E>>> {
        Error::inner(Error::inner(Error::inner(error)))
    }

    #[test]
    fn a_taught_error_is_found_as_it_is_in_boxes_and_in_wrappers() {
        #[track_caller]
        fn check<E: 'static>(of: impl Fn(ClientError) -> E) {
            assert_eq!(taught().proof(&of(ClientError::Connect)), Proof::NotSent);
            assert_eq!(taught().proof(&of(ClientError::Reset)), Proof::None);
            let untaught = Classifier::new();
            assert!(untaught.was_sent(&of(ClientError::Connect)));
            assert!(crate::was_sent(&of(ClientError::Connect)));
        }
        check(|error| error);
        check(boxed);
        check(Error::inner);
        check(|error| Error::inner(Error::inner(error)));
        check(behind_limits);
        check(|error| behind_limits(boxed(error)));
        check(|error| boxed(behind_limits(error)));
        check(|error| Error::inner(boxed(Error::inner(error))));
    }

    #[test]
    fn a_source_or_an_unknown_wrapper_proves_nothing() {
        assert!(taught().was_sent(&io::Error::other(ClientError::Connect)));
        assert!(taught().was_sent(&boxed(io::Error::other(ClientError::Connect))));
        assert!(taught().was_sent(&Error::inner(behind_limits(ClientError::Connect))));
    }

    /// Without the rule, a rejection is recognized only around an error that `was_sent` knows.
    #[test]
    fn a_rejection_around_a_taught_error_is_recognized() {
        let rejected = || Error::<ClientError>::rejected(Rejected::too_heavy(LimitKind::Rate));
        assert_eq!(Classifier::new().proof(&rejected()), Proof::None);
        assert_eq!(taught().proof(&rejected()), Proof::Rejected);
        assert_eq!(
            taught().proof(&boxed(Error::inner(rejected()))),
            Proof::Rejected
        );
        assert_eq!(
            taught().proof(&Error::<ClientError>::late()),
            Proof::Rejected
        );
        assert_eq!(
            taught().proof(&Error::<ClientError>::elapsed()),
            Proof::None
        );
    }

    #[test]
    fn one_of_several_rules_is_enough_and_the_defaults_stay() {
        let both =
            taught().not_sent_if(|error: &io::Error| error.kind() == io::ErrorKind::NotFound);
        assert!(!both.was_sent(&ClientError::Connect));
        assert!(!both.was_sent(&io::Error::from(io::ErrorKind::NotFound)));
        assert!(both.was_sent(&io::Error::other("reset")));
        let rejected = Error::<io::Error>::rejected(Rejected::too_heavy(LimitKind::Rate));
        assert_eq!(both.proof(&rejected), Proof::Rejected);
        let again = taught().not_sent_if(|error: &ClientError| matches!(error, ClientError::Reset));
        assert!(!again.was_sent(&ClientError::Connect) && !again.was_sent(&ClientError::Reset));
    }

    #[test]
    fn the_last_rule_with_a_verdict_counts() {
        let rules = Classifier::new()
            .classify(|status, _| (status == 418).then_some(Verdict::Transient))
            .classify(|_, headers| headers.contains_key("x-full").then_some(Verdict::Throttled));
        let (empty, mut full) = (HeaderMap::new(), HeaderMap::new());
        full.insert("x-full", HeaderValue::from_static("1"));
        let verdict = |status: u16, headers| {
            let status = StatusCode::from_u16(status).unwrap();
            rules.verdict(status, headers)
        };
        assert_eq!(verdict(418, &empty), Some(Verdict::Transient));
        assert_eq!(verdict(418, &full), Some(Verdict::Throttled));
        assert_eq!(verdict(200, &full), Some(Verdict::Throttled));
        assert_eq!(verdict(429, &empty), None);
    }

    #[test]
    fn a_throttled_response_without_a_delay_waits_for_the_reset_of_what_is_used_up() {
        fn check(fields: &[(&'static str, &'static str)], seconds: Option<u64>) {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(
                Classifier::new().throttled_for(&headers),
                expected,
                "{fields:?}"
            );
        }
        const DATE: (&str, &str) = ("date", "Fri, 29 Sep 2023 16:26:37 GMT");
        const RESET: (&str, &str) = ("x-ratelimit-reset", "1696004857");
        check(&[], None);
        check(&[DATE, RESET, ("x-ratelimit-remaining", "0")], Some(60));
        check(&[DATE, RESET, ("x-ratelimit-remaining", "1")], None);
        check(
            &[
                DATE,
                RESET,
                ("x-ratelimit-remaining", "0"),
                ("retry-after", "7"),
            ],
            Some(7),
        );
    }

    #[test]
    fn a_clone_is_not_changed_and_the_size_is_that_of_a_pointer() {
        let first = taught();
        let second = first.clone().not_sent_if(|_: &io::Error| true);
        assert!(first.was_sent(&io::Error::other("reset")));
        assert!(!second.was_sent(&io::Error::other("reset")));
        assert_eq!(size_of::<Classifier>(), size_of::<usize>());
    }
}
