use http::{HeaderMap, Request, Response, StatusCode};
use pacing::retry::{Failure, Verdict};

use super::Replay;
use super::config::Config;
use super::idempotency::has_key;
use crate::was_sent::Proof;

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Another attempt is not promising, as after a success.
    Final,
    /// Another attempt is promising, and a replay is not safe.
    Unsafe,
    /// Another attempt is promising and safe.
    Failed(Failure),
}

/// Returns how an attempt ended.
///
/// Without the request, which is kept only while another attempt is possible, a replay counts as
/// safe: it is not made.
#[inline]
pub(super) fn end<B, C, E: 'static>(
    request: Option<&Request<B>>,
    result: &Result<Response<C>, E>,
    config: &Config,
) -> End {
    match result {
        Ok(response) => {
            let (status, headers) = (response.status(), response.headers());
            let by_rule = config.classifier.verdict(status, headers);
            let verdict = by_rule.unwrap_or_else(|| config.policy.verdict(status.as_u16()));
            // A retry flag on a success is ignored: the retry would repeat an effect that the
            // caller wanted once. So its header fields are read only by rules of the user.
            if verdict == Verdict::Final && status.as_u16() < 400 {
                return End::Final;
            }
            match by_rule {
                Some(Verdict::Throttled) => throttled(status, headers, config),
                _ => response_end(request, status, headers, verdict, config),
            }
        }
        Err(error) => error_end(request, error, config),
    }
}

/// The same for a response that a rule of the classifier takes as throttled.
#[cold]
fn throttled(status: StatusCode, headers: &HeaderMap, config: &Config) -> End {
    match overruled(Verdict::Throttled, status, headers, config) {
        Verdict::Throttled => {
            End::Failed(Failure::Throttled(config.classifier.throttled_for(headers)))
        }
        _ => End::Final,
    }
}

/// The same for a response whose status has this verdict.
// Out of line, as is the next function, so that a success pays for none of it.
#[cold]
fn response_end<B>(
    request: Option<&Request<B>>,
    status: StatusCode,
    headers: &HeaderMap,
    verdict: Verdict,
    config: &Config,
) -> End {
    let retry_after = || config.classifier.retry_after(headers);
    match overruled(verdict, status, headers, config) {
        Verdict::Throttled => End::Failed(Failure::Throttled(retry_after())),
        // Only a key shows that the conflict is with an earlier attempt, which will end. Without
        // one, the same conflict would follow.
        Verdict::Conflict if !request.is_some_and(|request| is_keyed(request, config)) => {
            End::Final
        }
        Verdict::Conflict | Verdict::Transient => match may_replay(request, config) {
            true => End::Failed(Failure::Transient(retry_after())),
            false => End::Unsafe,
        },
        Verdict::Final => End::Final,
    }
}

/// Returns the verdict after the server's own flag, if it sent one.
fn overruled(
    verdict: Verdict,
    status: StatusCode,
    headers: &HeaderMap,
    config: &Config,
) -> Verdict {
    match config.classifier.should_retry(headers) {
        Some(should_retry) => verdict.overruled(status.as_u16(), should_retry),
        None => verdict,
    }
}

/// The same for an attempt that ended without a response.
#[cold]
fn error_end<B, E: 'static>(request: Option<&Request<B>>, error: &E, config: &Config) -> End {
    match config.classifier.proof(error) {
        // The rejection is final: it has already said how long the wait would be.
        Proof::Rejected => End::Final,
        Proof::None if !may_replay(request, config) => End::Unsafe,
        Proof::NotSent | Proof::None => End::Failed(Failure::Transient(None)),
    }
}

/// Returns whether a replay is safe, by the request's method, its [`Replay`] mark or its key.
fn may_replay<B>(request: Option<&Request<B>>, config: &Config) -> bool {
    request.is_none_or(|request| {
        config.policy.may_replay(request.method().as_str())
            || request.extensions().get::<Replay>().is_some()
            || (config.keys.is_some() && is_keyed(request, config))
    })
}

fn is_keyed<B>(request: &Request<B>, config: &Config) -> bool {
    has_key(request.headers(), config.keys.as_ref())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::error::{Error, LimitKind, Rejected};
    use crate::retry::IdempotencyKeys;
    use crate::{Classifier, RetryLayer, RetryPolicy};

    fn failure<E: 'static>(
        request: &Request<()>,
        result: &Result<Response<()>, E>,
        config: &Config,
    ) -> Option<Failure> {
        match end(Some(request), result, config) {
            End::Failed(failure) => Some(failure),
            End::Final | End::Unsafe => None,
        }
    }

    fn post(fields: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::post("/").body(()).unwrap();
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
        request
    }

    fn marked(mut request: Request<()>) -> Request<()> {
        request.extensions_mut().insert(Replay);
        request
    }

    fn failure_by_default<E: 'static>(
        request: &Request<()>,
        result: &Result<Response<()>, E>,
    ) -> Option<Failure> {
        failure(request, result, RetryLayer::default().config())
    }

    fn check(
        request: &Request<()>,
        status: u16,
        fields: &[(&'static str, &'static str)],
        expected: Option<Failure>,
    ) {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let result: Result<_, std::io::Error> = Ok(response.body(()).unwrap());
        let failure = failure_by_default(request, &result);
        assert_eq!(failure, expected, "{status} {fields:?}");
    }

    const FAILED: Option<Failure> = Some(Failure::Transient(None));

    #[test]
    fn a_conflict_is_retried_only_with_an_idempotency_key() {
        let key = [("idempotency-key", "\"a\"")];
        check(&marked(post(&[])), 409, &[], None);
        check(&post(&key), 409, &[], None);
        check(&marked(post(&key)), 409, &[], FAILED);
    }

    #[test]
    fn the_servers_flag_overrules_a_failure_and_makes_no_replay_safe() {
        check(
            &marked(post(&[])),
            503,
            &[("x-should-retry", "false")],
            None,
        );
        check(&post(&[]), 429, &[("x-should-retry", "false")], None);
        check(
            &marked(post(&[])),
            400,
            &[("x-should-retry", "true")],
            FAILED,
        );
        check(&post(&[]), 503, &[("x-should-retry", "true")], None);
        check(
            &marked(post(&[])),
            404,
            &[("x-should-retry", "true")],
            FAILED,
        );
        check(&marked(post(&[])), 200, &[("x-should-retry", "true")], None);
    }

    #[test]
    fn the_policy_can_replace_the_classification_and_the_safe_methods() {
        let strict = RetryPolicy::default()
            .classify(|_| Verdict::Transient)
            .replays(|_| false);
        let strict = RetryLayer::new(strict);
        let strict = strict.config();
        let result: Result<_, std::io::Error> = Ok(Response::new(()));
        assert_eq!(failure(&Request::new(()), &result, strict), None);
        assert_eq!(failure(&marked(post(&[])), &result, strict), FAILED);
        let ended = Response::builder()
            .header("x-should-retry", "false")
            .body(());
        let result: Result<_, std::io::Error> = Ok(ended.unwrap());
        assert_eq!(failure(&marked(post(&[])), &result, strict), None);
    }

    #[test]
    fn with_the_setting_a_key_makes_a_replay_safe() {
        fn check(layer: &RetryLayer, request: &Request<()>, status: u16, is_retried: bool) {
            let response = Response::builder().status(status).body(()).unwrap();
            let result: Result<_, std::io::Error> = Ok(response);
            let failure = failure(request, &result, layer.config());
            assert_eq!(failure.is_some(), is_retried, "{status}");
        }
        let key = post(&[("idempotency-key", "a")]);
        let own = post(&[("paypal-request-id", "a")]);
        let trusted = RetryLayer::default().idempotency_keys(IdempotencyKeys::of_requests());
        let named = IdempotencyKeys::of_requests()
            .header(http::HeaderName::from_static("paypal-request-id"));
        let named = RetryLayer::default().idempotency_keys(named);
        for (status, is_retried) in [(409, true), (422, false), (400, false), (503, true)] {
            check(&RetryLayer::default(), &key, status, false);
            check(&trusted, &key, status, is_retried);
            check(&trusted, &post(&[]), status, false);
            check(&named, &own, status, is_retried);
            check(&named, &key, status, false);
        }
        check(&RetryLayer::default(), &marked(key), 409, true);
    }

    #[test]
    fn a_rule_of_the_classifier_comes_before_the_policy_and_the_flag_before_both() {
        let rule = Classifier::new().classify(|_, headers| match headers.get("x")?.as_bytes() {
            b"throttled" => Some(Verdict::Throttled),
            b"transient" => Some(Verdict::Transient),
            b"conflict" => Some(Verdict::Conflict),
            _ => Some(Verdict::Final),
        });
        let layer = RetryLayer::default().classifier(rule);
        let check = |request: &Request<()>, status: u16, fields: &[(&str, &str)], expected| {
            let mut response = Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            let result: Result<_, std::io::Error> = Ok(response.body(()).unwrap());
            let failure = failure(request, &result, layer.config());
            assert_eq!(failure, expected, "{status} {fields:?}");
        };
        let throttled = |seconds: Option<u64>| {
            Some(Failure::Throttled(
                seconds.map(std::time::Duration::from_secs),
            ))
        };
        let (get, post) = (Request::new(()), post(&[]));
        check(&post, 403, &[("x", "throttled")], throttled(None));
        check(&post, 200, &[("x", "throttled")], throttled(None));
        check(
            &post,
            403,
            &[("x", "throttled"), ("retry-after", "2")],
            throttled(Some(2)),
        );
        let used_up = [
            ("x", "throttled"),
            ("ratelimit", "limit=9, remaining=0, reset=30"),
        ];
        check(&post, 403, &used_up, throttled(Some(30)));
        check(
            &post,
            403,
            &[("x", "throttled"), ("x-should-retry", "false")],
            None,
        );
        check(&get, 200, &[("x", "transient")], FAILED);
        check(&post, 200, &[("x", "transient")], None);
        check(&get, 400, &[("x", "conflict")], None);
        check(&get, 503, &[("x", "final")], None);
        check(&get, 429, &[("x", "final")], None);
        check(&get, 503, &[], FAILED);
        check(&post, 429, &[], throttled(None));
    }

    #[test]
    fn an_error_is_retried_if_a_replay_is_safe_and_it_is_not_a_rejection() {
        fn check<E: 'static>(request: &Request<()>, error: E, expected: Option<Failure>) {
            let result: Result<Response<()>, _> = Err(error);
            assert_eq!(failure_by_default(request, &result), expected);
        }
        let reset = || std::io::Error::other("reset");
        let rejected = Error::<std::io::Error>::rejected(Rejected::too_heavy(LimitKind::Rate));
        check(&post(&[]), reset(), None);
        check(&marked(post(&[])), reset(), FAILED);
        check(&Request::new(()), reset(), FAILED);
        check(&marked(post(&[])), Error::inner(reset()), FAILED);
        check(&marked(post(&[])), rejected, None);
    }
}
