//! The one place that reads the clocks. All other code takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Returns the time of tokio's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's one reading of the monotonic clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the seconds since 1970 on the wall clock, or 0 if it is set to an earlier time.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's one reading of the wall clock"
)]
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the seconds since 1970 of a time as RFC 3339. Returns nothing for another text.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_second())
}

/// Formats a time in seconds since 1970 as RFC 3339, in UTC.
pub(crate) fn rfc3339(unix_seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_seconds);
    time.map_or_else(|_| "an unknown time".into(), |time| time.to_string())
}
