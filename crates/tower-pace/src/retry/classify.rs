use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use pacing::retry::{Failure, RetryPolicy, Verdict};

use crate::proof::{Proof, proof};
use crate::retry_after::{retry_after, should_retry};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-retry-count");

/// Marks a request, in its extensions, as one that has the same effect however often it arrives.
///
/// For a POST whose body carries an identifier that the server deduplicates, say.
///
/// ```
/// use tower_pace::Replay;
///
/// let mut request = http::Request::post("/events").body(()).unwrap();
/// request.extensions_mut().insert(Replay);
/// assert!(request.extensions().get::<Replay>().is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay;

/// Says, in the extensions of a request that is sent again, which attempt it is: `Attempt(2)` and so on. The first one
/// carries only what the caller may have put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(
    /// The number of the attempt, counting from 1.
    pub u32,
);

/// Why an attempt at `request` failed, if another one is safe and promising.
pub(super) fn failure<B, C, E: 'static>(
    request: &Request<B>,
    result: &Result<Response<C>, E>,
    policy: &RetryPolicy,
) -> Option<Failure> {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => {
            let is_of_use = match proof(error) {
                Proof::Refused => false,
                Proof::NeverLeft => true,
                Proof::None => may_replay(request, policy),
            };
            return is_of_use.then_some(Failure::Transient(None));
        }
    };
    match verdict(answer.status(), answer.headers(), policy) {
        Verdict::Throttled => Some(Failure::Throttled(retry_after(answer.headers()))),
        Verdict::Conflict if !request.headers().contains_key(IDEMPOTENCY_KEY) => None,
        Verdict::Conflict | Verdict::Transient if may_replay(request, policy) => {
            Some(Failure::Transient(retry_after(answer.headers())))
        }
        Verdict::Conflict | Verdict::Transient | Verdict::Final => None,
    }
}

/// What an answer means, by its status and by what the server says itself. A success says nothing of that.
fn verdict(status: StatusCode, headers: &HeaderMap, policy: &RetryPolicy) -> Verdict {
    let status = status.as_u16();
    let verdict = policy.verdict(status);
    if verdict == Verdict::Final && status < 400 {
        return verdict;
    }
    match should_retry(headers) {
        Some(should_retry) => verdict.overruled(status, should_retry),
        None => verdict,
    }
}

/// Whether a request has the same effect however often it arrives, by its method or by its mark.
fn may_replay<B>(request: &Request<B>, policy: &RetryPolicy) -> bool {
    policy.may_replay(request.method().as_str()) || request.extensions().get::<Replay>().is_some()
}

/// Tells the server how often the request was sent before.
pub(super) fn write_retry_count(headers: &mut HeaderMap, attempt: Attempt) {
    headers.insert(RETRY_COUNT, HeaderValue::from(attempt.0 - 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bounded;
    use crate::line::Refused;

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

    fn check(
        request: &Request<()>,
        status: u16,
        fields: &[(&'static str, &'static str)],
        expected: Option<Failure>,
    ) {
        let mut answer = Response::builder().status(status);
        for (name, value) in fields {
            answer = answer.header(*name, *value);
        }
        let result: Result<_, std::io::Error> = Ok(answer.body(()).unwrap());
        let failure = failure(request, &result, &RetryPolicy::default());
        assert_eq!(failure, expected, "{status} {fields:?}");
    }

    const FAILED: Option<Failure> = Some(Failure::Transient(None));

    #[test]
    fn a_conflict_is_tried_again_only_with_a_token() {
        let token = [("idempotency-key", "\"a\"")];
        check(&marked(post(&[])), 409, &[], None);
        check(&post(&token), 409, &[], None);
        check(&marked(post(&token)), 409, &[], FAILED);
    }

    #[test]
    fn the_servers_own_word_counts_but_makes_nothing_safe() {
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
    fn a_policy_may_see_it_in_another_way() {
        let strict = RetryPolicy::default()
            .classify(|_| Verdict::Transient)
            .replays(|_| false);
        let result: Result<_, std::io::Error> = Ok(Response::new(()));
        assert_eq!(failure(&Request::new(()), &result, &strict), None);
        assert_eq!(failure(&marked(post(&[])), &result, &strict), FAILED);
        let ended = Response::builder()
            .header("x-should-retry", "false")
            .body(());
        let result: Result<_, std::io::Error> = Ok(ended.unwrap());
        assert_eq!(failure(&marked(post(&[])), &result, &strict), None);
    }

    #[test]
    fn an_error_is_tried_again_if_it_is_safe_and_no_refusal() {
        fn check<E: 'static>(request: &Request<()>, error: E, expected: Option<Failure>) {
            let result: Result<Response<()>, _> = Err(error);
            assert_eq!(failure(request, &result, &RetryPolicy::default()), expected);
        }
        let reset = || std::io::Error::other("reset");
        let refused = Bounded::<std::io::Error>::refused(Refused::too_heavy());
        check(&post(&[]), reset(), None);
        check(&marked(post(&[])), reset(), FAILED);
        check(&Request::new(()), reset(), FAILED);
        check(&marked(post(&[])), Bounded::failed(reset()), FAILED);
        check(&marked(post(&[])), refused, None);
    }

    #[test]
    fn the_count_is_that_of_the_attempts_before() {
        let mut headers = HeaderMap::new();
        write_retry_count(&mut headers, Attempt(3));
        assert_eq!(headers["x-retry-count"], "2");
    }
}
