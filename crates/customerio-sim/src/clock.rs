use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use tokio::time::Instant;

/// The simulator's only clock. It is tokio's, so that a test can pause it.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    epoch: SystemTime,
}

impl Clock {
    /// Starts a clock whose dates begin at `epoch`.
    pub(crate) fn start(epoch: SystemTime) -> Self {
        Self {
            started: read(),
            epoch,
        }
    }

    /// Returns the time since the start.
    pub(crate) fn now(&self) -> Duration {
        // A simulator that was built in another runtime may have started later than this one's
        // paused clock.
        read().saturating_duration_since(self.started)
    }

    /// Returns the current date in Unix seconds.
    pub(crate) fn unix_seconds(&self) -> i64 {
        let date = self.epoch + self.now();
        // A date before 1970 has no use here. It would be an epoch that a test made up.
        let since = date.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }

    /// Returns the value of a `Date` header.
    ///
    /// hyper's own header is switched off: it shows the real time, which is wrong on paused time.
    pub(crate) fn date(&self) -> HeaderValue {
        let date = httpdate::fmt_http_date(self.epoch + self.now());
        HeaderValue::try_from(date).expect("an HTTP date is visible ASCII")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the simulator reads a clock"
)]
fn read() -> Instant {
    Instant::now()
}
