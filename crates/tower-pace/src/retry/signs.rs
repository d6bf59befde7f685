use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, header};
use pacing::retry::{Failure, Verdict, parse_retry_after};

use crate::was_sent;

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

/// Says, in the extensions of a request that is sent again, which attempt it is. The second one is `Attempt(2)`; the
/// first carries none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(
    /// The number of the attempt, counting from 1.
    pub u32,
);

/// Whether a request has the same effect however often it arrives (RFC 9110, section 9.2.2, or by its mark).
pub(super) fn may_replay<B>(request: &Request<B>) -> bool {
    const IDEMPOTENT: [Method; 6] = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    IDEMPOTENT.contains(request.method()) || request.extensions().get::<Replay>().is_some()
}

/// Why the attempt failed, if another one is safe and promising.
pub(super) fn failure<C, E: 'static>(
    result: &Result<Response<C>, E>,
    may_replay: bool,
) -> Option<Failure> {
    match result {
        Ok(response) => match Verdict::of(response.status().as_u16()) {
            Verdict::Throttled => Some(Failure::Throttled(retry_after(response.headers()))),
            Verdict::Transient if may_replay => {
                Some(Failure::Transient(retry_after(response.headers())))
            }
            Verdict::Transient | Verdict::Final => None,
        },
        Err(error) => (may_replay || !was_sent(error)).then_some(Failure::Transient(None)),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(header::RETRY_AFTER)?.as_bytes())
}
