use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{LONGEST_TIMER, now};

/// When a request's answer is of no more use: put it into the request's extensions.
///
/// A bounded limit refuses a request that cannot leave before then, a plain one ignores it. The time is that of tokio's
/// clock, so a paused clock pauses it; it is at most 24 hours ahead.
///
/// ```
/// use std::time::Duration;
/// use tower_pace::Deadline;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Deadline::within(Duration::from_secs(5)));
/// # assert!(request.extensions().get::<Deadline>().is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline that lies `time` after now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self(now() + time.min(LONGEST_TIMER))
    }

    /// Returns what is left until it at `now`, zero once it has passed.
    pub(crate) fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}
