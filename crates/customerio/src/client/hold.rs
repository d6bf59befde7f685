use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::sleep;
use tower_pace::RateLimitLayer;

use super::trail::Trail;

/// How often a call looks whether the server holds it back. The bound is kept to within that.
const LOOK: Duration = Duration::from_millis(500);

/// Says that the server lets nothing leave for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// How long it lasts from now on.
    pub remaining: Duration,
    /// The field of a response that asked for it, such as `Retry-After`; nothing after a 429 that
    /// named no time.
    pub field: Option<String>,
}

/// Remembers which field of a response held the requests back last.
#[derive(Debug, Default)]
pub(super) struct LastField(Mutex<Option<HeaderName>>);

impl LastField {
    /// Notes what a response asks for; one that asks for nothing leaves the last request in force.
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let field = asking(status, headers);
        if field.is_some() || status == StatusCode::TOO_MANY_REQUESTS {
            // No step leaves it half changed, so a panic elsewhere does not spoil it.
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = field;
        }
    }

    pub(super) fn hold(&self, remaining: Duration) -> Hold {
        let field = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Hold {
            remaining,
            field: field.as_ref().map(spelled),
        }
    }
}

/// Returns the field of a response that keeps further requests back, by the rules of the rate
/// limit.
fn asking(status: StatusCode, headers: &HeaderMap) -> Option<HeaderName> {
    let may_name_a_time = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let is_asking = |name: &HeaderName, value: &[u8]| match name.as_str() {
        "retry-after" | "retry-after-ms" | "x-ms-retry-after-ms" => may_name_a_time,
        "ratelimit" => has_nothing_left(value),
        name if name.starts_with("ratelimit-remaining") => value.trim_ascii() == b"0",
        name if name.starts_with("x-ratelimit-remaining") => value.trim_ascii() == b"0",
        name if name.starts_with("x-rate-limit-remaining") => value.trim_ascii() == b"0",
        _ => false,
    };
    let mut asking = headers
        .iter()
        .filter(|(name, value)| is_asking(name, value.as_bytes()));
    // `Retry-After` has precedence over what is left of a limit.
    let first = asking.next()?.0;
    let rest = asking.map(|(name, _)| name);
    let prior = rest
        .chain([first])
        .find(|name| name.as_str().contains("retry-after"));
    Some(prior.unwrap_or(first).clone())
}

/// Reads `limit=10, remaining=0, reset=9` and `"default";r=0;t=9`.
fn has_nothing_left(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b',' | b';'));
    parts.any(|part| matches!(part.trim_ascii(), b"r=0" | b"remaining=0"))
}

/// Writes a name as documents do: `Retry-After`, `X-RateLimit-Remaining`.
fn spelled(name: &HeaderName) -> String {
    let parts = name.as_str().split('-').map(|part| match part {
        "ratelimit" => "RateLimit".to_owned(),
        "ms" => part.to_owned(),
        _ => {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_ascii_uppercase() + rest
        }
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Resolves once the server has held a call back for `left` in all, or holds it back for longer
/// than what is left of that. The time in which an attempt is on its way does not count.
pub(super) async fn held_for(limit: &RateLimitLayer, trail: &Trail, left: &mut Duration) {
    let mut was_held = false;
    loop {
        // The look costs a lock, and most calls end before it.
        sleep(LOOK).await;
        if was_held {
            *left = left.saturating_sub(LOOK);
        }
        let gate = limit.handle().snapshot().gate;
        let rest = gate.filter(|_| !trail.has_departed());
        was_held = rest.is_some();
        if rest.is_some_and(|rest| rest >= *left) {
            *left = Duration::ZERO;
            return;
        }
    }
}

/// The server held a call back for longer than it may.
#[derive(Debug)]
pub(super) struct HeldTooLong;

impl fmt::Display for HeldTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server held the request back for too long")
    }
}

impl std::error::Error for HeldTooLong {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(status: u16, fields: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let found = asking(status, &headers).as_ref().map(spelled);
        assert_eq!(found.as_deref(), expected, "{status} {fields:?}");
    }

    #[test]
    fn the_field_that_holds_requests_back_is_named() {
        check(200, &[], None);
        check(503, &[("retry-after", "9")], Some("Retry-After"));
        check(429, &[("retry-after-ms", "9")], Some("Retry-After-ms"));
        check(500, &[("retry-after", "9")], None);
        check(200, &[("x-ratelimit-remaining", "1")], None);
        check(
            200,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")],
            Some("X-RateLimit-Remaining"),
        );
        check(
            200,
            &[("ratelimit", "\"default\";r=0;t=9")],
            Some("RateLimit"),
        );
        check(
            200,
            &[("ratelimit", "limit=10, remaining=10, reset=9")],
            None,
        );
        check(
            429,
            &[("x-rate-limit-remaining-day", "0"), ("retry-after", "9")],
            Some("Retry-After"),
        );
    }
}
