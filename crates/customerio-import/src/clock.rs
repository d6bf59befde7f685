//! The one place that reads the clocks; everything else takes moments as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Returns the moment on tokio's clock, which tests may pause.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's one reading of the monotonic clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the seconds since 1970 on the wall clock; 0 where it is set before.
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

/// Returns a moment in seconds since 1970 as RFC 3339 writes it, in UTC.
pub(crate) fn shown(unix_seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(unix_seconds);
    moment.map_or_else(|_| "an unknown time".into(), |moment| moment.to_string())
}
