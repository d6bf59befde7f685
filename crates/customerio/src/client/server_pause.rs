use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::sleep;
use tower_pace::RateLimitLayer;

use super::progress::RequestProgress;

/// How often a call checks whether the server pauses it. The bound on pauses is kept with this
/// precision. A shorter interval takes the lock of the rate limiter more often, for each call.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A pause that the server asked for. No request departs before it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerPause {
    /// The time until the pause ends.
    pub remaining: Duration,
    /// The field of the response that asked for the pause, such as `Retry-After`; `None` after a
    /// 429 without such a field.
    pub field: Option<String>,
}

/// The field of a response that last asked for a pause.
#[derive(Debug, Default)]
pub(super) struct LastPauseField(Mutex<Option<HeaderName>>);

impl LastPauseField {
    /// Records the field of a response. A response that asks for no pause changes nothing: the
    /// pause of an earlier one may still last.
    pub(super) fn record(&self, status: StatusCode, headers: &HeaderMap) {
        let field = pause_field(status, headers);
        if field.is_some() || status == StatusCode::TOO_MANY_REQUESTS {
            // One assignment under the lock, so a panic in another thread leaves no half of one.
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = field;
        }
    }

    pub(super) fn pause(&self, remaining: Duration) -> ServerPause {
        let field = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ServerPause {
            remaining,
            field: field.as_ref().map(spelled),
        }
    }
}

/// Returns the field of a response that closes the gate of the rate limiter. It follows the rules
/// of `pacing::fields`.
fn pause_field(status: StatusCode, headers: &HeaderMap) -> Option<HeaderName> {
    let may_name_a_time = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let asks = |name: &HeaderName, value: &[u8]| match name.as_str() {
        // The list of `tower_pace::HintHeaders`.
        "retry-after" | "retry-after-ms" | "x-ms-retry-after-ms" | "x-amz-retry-after" => {
            may_name_a_time
        }
        "ratelimit" => has_none_remaining(value),
        name if name.starts_with("ratelimit-remaining") => value.trim_ascii() == b"0",
        name if name.starts_with("x-ratelimit-remaining") => value.trim_ascii() == b"0",
        name if name.starts_with("x-rate-limit-remaining") => value.trim_ascii() == b"0",
        _ => false,
    };
    let mut fields = headers
        .iter()
        .filter(|(name, value)| asks(name, value.as_bytes()));
    // `Retry-After` has precedence over the remaining requests of a limit.
    let first = fields.next()?.0;
    let rest = fields.map(|(name, _)| name);
    let retry_after = rest
        .chain([first])
        .find(|name| name.as_str().contains("retry-after"));
    Some(retry_after.unwrap_or(first).clone())
}

/// Returns whether no request remains, in either format: `limit=10, remaining=0, reset=9` or
/// `"default";r=0;t=9`.
fn has_none_remaining(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b',' | b';'));
    parts.any(|part| matches!(part.trim_ascii(), b"r=0" | b"remaining=0"))
}

/// Returns a name in its usual spelling: `Retry-After`, `X-RateLimit-Remaining`.
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

/// Waits until the server has paused a call for `left` in all, or asks for a longer pause than is
/// left. Subtracts the pauses from `left`.
///
/// The time during which an attempt is in flight does not count.
pub(super) async fn paused_too_long(
    limit: &RateLimitLayer,
    progress: &RequestProgress,
    left: &mut Duration,
) {
    let mut was_paused = false;
    loop {
        // Sleep first: the check takes a lock, and most calls end before they need one.
        sleep(CHECK_INTERVAL).await;
        // A pause that began since the last check is not counted yet.
        if was_paused {
            *left = left.saturating_sub(CHECK_INTERVAL);
        }
        let gate = limit.handle().snapshot().gate;
        let remaining = gate.filter(|_| !progress.is_in_flight());
        was_paused = remaining.is_some();
        if remaining.is_some_and(|remaining| remaining >= *left) {
            *left = Duration::ZERO;
            return;
        }
    }
}

/// The server paused a call for longer than the call allows.
#[derive(Debug)]
pub(super) struct PausedTooLong;

impl fmt::Display for PausedTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server paused the request for too long")
    }
}

impl std::error::Error for PausedTooLong {}

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
        let found = pause_field(status, &headers).as_ref().map(spelled);
        assert_eq!(found.as_deref(), expected, "{status} {fields:?}");
    }

    #[test]
    fn the_field_that_asks_for_a_pause_is_found() {
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
