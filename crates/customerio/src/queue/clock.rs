//! The one place of the queue that reads the clocks. All other code takes the time as an argument.

use std::time::{Instant, SystemTime};

use crate::Timestamp;

/// Returns the time of tokio's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "the queue's one reading of the monotonic clock"
)]
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the time on the wall clock in milliseconds since 1970, for files. 0 is a clock that is
/// set to an earlier time.
#[cfg(feature = "spool")]
#[expect(
    clippy::disallowed_methods,
    reason = "the queue's one reading of the wall clock"
)]
pub(super) fn wall_millis() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Returns the time on the wall clock, for the time of an event. `None` if the clock is set to a
/// time that no event can have.
#[expect(
    clippy::disallowed_methods,
    reason = "the queue's one reading of the wall clock"
)]
pub(super) fn wall_time() -> Option<Timestamp> {
    SystemTime::now().try_into().ok()
}
