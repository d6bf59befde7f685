use std::time::{Duration, Instant};

use crate::clock;

/// The moment by which a call must have ended, in the extensions of its request.
///
/// Below a [`DeadlineLayer`](crate::DeadlineLayer) it shortens the time of that one call. Without
/// the layer it is a hint to the layers, as the [module](super) says: a bounded rate limit, for
/// example, rejects a request at once that could not depart in time.
///
/// ```
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt};
/// use tower_pace::{Deadline, Quota, RateLimitLayer};
/// # use std::convert::Infallible;
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let client = tower::service_fn(answer);
///
/// let limit = RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(60));
/// limit.handle().penalize(Duration::from_secs(10)); // as after a 429
///
/// let mut request = http::Request::get("/").body(String::new()).unwrap();
/// request.extensions_mut().insert(Deadline::within(Duration::from_secs(5)));
/// let error = limit.layer(client).oneshot(request).await.unwrap_err();
/// assert!(error.is_rejected(), "it could depart after 10 s only");
/// # }
/// ```
///
/// It is a moment of tokio's clock, so it passes in a test on paused time.
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
