use http::{HeaderMap, HeaderName, Request, Response};
use pacing::retry::{Failure, RetryPolicy, Verdict};

use super::Replay;
use crate::hint_headers::HintHeaders;
use crate::was_sent::{Proof, proof};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Returns how an attempt failed, or `None` if another attempt is unsafe or not promising.
#[inline]
pub(super) fn failure<B, C, E: 'static>(
    request: &Request<B>,
    result: &Result<Response<C>, E>,
    policy: &RetryPolicy,
    hints: &HintHeaders,
) -> Option<Failure> {
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            let verdict = policy.verdict(status);
            // A retry flag on a success is ignored: the retry would repeat an effect that the
            // caller wanted once. So the header fields of a success are not read.
            if verdict == Verdict::Final && status < 400 {
                return None;
            }
            response_failure(request, status, response.headers(), verdict, policy, hints)
        }
        Err(error) => error_failure(request, error, policy),
    }
}

/// The same for a response whose status has this verdict.
// Out of line, as is the next function, so that a success pays for none of it.
#[cold]
fn response_failure<B>(
    request: &Request<B>,
    status: u16,
    headers: &HeaderMap,
    verdict: Verdict,
    policy: &RetryPolicy,
    hints: &HintHeaders,
) -> Option<Failure> {
    let verdict = match hints.should_retry(headers) {
        Some(should_retry) => verdict.overruled(status, should_retry),
        None => verdict,
    };
    match verdict {
        Verdict::Throttled => Some(Failure::Throttled(hints.retry_after(headers))),
        // Only a key shows that the conflict is with an earlier attempt, which will end. Without
        // one, the same conflict would follow.
        Verdict::Conflict if !request.headers().contains_key(IDEMPOTENCY_KEY) => None,
        Verdict::Conflict | Verdict::Transient if may_replay(request, policy) => {
            Some(Failure::Transient(hints.retry_after(headers)))
        }
        Verdict::Conflict | Verdict::Transient | Verdict::Final => None,
    }
}

/// The same for an attempt that ended without a response.
#[cold]
fn error_failure<B, E: 'static>(
    request: &Request<B>,
    error: &E,
    policy: &RetryPolicy,
) -> Option<Failure> {
    let is_promising = match proof(error) {
        // The rejection is final: it has already said how long the wait would be.
        Proof::Rejected => false,
        Proof::NotSent => true,
        Proof::None => may_replay(request, policy),
    };
    is_promising.then_some(Failure::Transient(None))
}

/// Returns whether a replay is safe, by the request's method or by its [`Replay`] mark.
fn may_replay<B>(request: &Request<B>, policy: &RetryPolicy) -> bool {
    policy.may_replay(request.method().as_str()) || request.extensions().get::<Replay>().is_some()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::error::{Error, LimitKind, Rejected};

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
        let (policy, hints) = (RetryPolicy::default(), HintHeaders::DEFAULT);
        failure(request, result, &policy, &hints)
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
        let result: Result<_, std::io::Error> = Ok(Response::new(()));
        assert_eq!(
            failure(&Request::new(()), &result, &strict, &HintHeaders::DEFAULT),
            None
        );
        assert_eq!(
            failure(&marked(post(&[])), &result, &strict, &HintHeaders::DEFAULT),
            FAILED
        );
        let ended = Response::builder()
            .header("x-should-retry", "false")
            .body(());
        let result: Result<_, std::io::Error> = Ok(ended.unwrap());
        assert_eq!(
            failure(&marked(post(&[])), &result, &strict, &HintHeaders::DEFAULT),
            None
        );
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
