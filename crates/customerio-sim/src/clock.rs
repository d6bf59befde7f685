use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use tokio::time::Instant;

/// The simulator's one clock: tokio's, so that paused time governs it.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    epoch: SystemTime,
}

impl Clock {
    /// A clock that starts now and calls this moment `epoch` in its dates.
    pub(crate) fn start(epoch: SystemTime) -> Self {
        Self {
            started: read(),
            epoch,
        }
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        read().saturating_duration_since(self.started)
    }

    /// The value of a `Date` header. hyper's own reads the real clock, which lies on virtual time.
    pub(crate) fn date(&self) -> HeaderValue {
        let date = httpdate::fmt_http_date(self.epoch + self.now());
        HeaderValue::try_from(date).expect("an HTTP date is visible ASCII")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the simulator reads a clock"
)]
fn read() -> Instant {
    Instant::now()
}
