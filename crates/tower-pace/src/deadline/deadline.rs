use std::time::{Duration, Instant};

use crate::clock;

/// The moment by which a call must have ended, in the extensions of its request.
///
/// It is a moment of tokio's clock, so it passes in a test on paused time.
///
/// ```
/// use std::time::Duration;
/// use tower_pace::Deadline;
///
/// let mut request = http::Request::get("/").body(()).unwrap();
/// request.extensions_mut().insert(Deadline::within(Duration::from_secs(5)));
/// let deadline = request.extensions().get::<Deadline>().unwrap();
/// assert!(deadline.remaining() <= Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline `time` from now. More than thirty years count as thirty.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self(clock::after(time).into_std())
    }

    /// Returns the deadline at a moment.
    #[must_use]
    pub const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Returns the moment of the deadline.
    #[must_use]
    pub const fn moment(self) -> Instant {
        self.0
    }

    /// Returns the time that is left, zero if the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(clock::now().into_std())
    }

    pub(crate) fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}
