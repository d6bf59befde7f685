use std::sync::Arc;
use std::time::Duration;

use pacing::fields::StatedLimit;
use pacing::{Group, Moment, Quota};

use super::Snapshot;
use super::front::RateFront;
use super::shared::SharedLimits;
use super::state::RateState;
use crate::classifier::Classifier;
use crate::wait::{Queue, Wake};

/// Shows the state of a limit, and changes it while it is in use.
///
/// ```
/// use tower_pace::{Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::new(Quota::per_second(100));
/// let handle = layer.handle();
/// handle.set_quota(Quota::per_second(50));
/// assert!(handle.snapshot().rate() < 50.0);
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    queue: Arc<Queue<RateState>>,
}

impl Handle {
    /// Returns the handle of a new limit.
    pub(super) fn of(quota: Quota, classifier: Classifier) -> Self {
        Self {
            queue: Queue::new(RateState::new(quota), RateFront::new(classifier)),
        }
    }

    /// Returns the handle of a limit that several processes share under this name.
    pub(super) fn shared(
        quota: Quota,
        classifier: Classifier,
        name: Arc<str>,
        limits: &SharedLimits,
    ) -> Self {
        let queue = Queue::new(limits.state(quota), RateFront::new(classifier));
        limits.add(name, &queue);
        Self { queue }
    }

    /// Returns the rules of the limit for responses and errors.
    pub(super) fn classifier(&self) -> Classifier {
        self.queue.front().classifier.clone()
    }

    /// Returns the quota that the user set.
    pub(super) fn configured(&self) -> Quota {
        self.queue.look(|state, _, _| state.configured())
    }

    /// Returns whether this is the only handle, and a new limit of `quota` would behave in the same
    /// way.
    pub(super) fn is_idle(&self, quota: &Quota) -> bool {
        let is_alone = Arc::strong_count(&self.queue) == 1;
        is_alone
            && self
                .queue
                .look(|state, queued, now| queued == 0 && state.is_idle(quota, now))
    }

    pub(super) fn add_group(&self) -> Group {
        self.queue.add_group()
    }

    pub(super) fn queue(self) -> Arc<Queue<RateState>> {
        self.queue
    }

    /// Returns the state at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.queue
            .look(|state, queued, now| state.snapshot(queued, now))
    }

    /// Returns the limits that the server stated last, in header fields such as
    /// `x-ratelimit-remaining`. It is empty if no response of the server's own has stated any.
    ///
    /// The [`reset`](StatedLimit::reset) of each is the time that is left from now. It is zero once
    /// it has passed. What remains is the server's word, without the requests that departed since.
    /// No statement is taken from a response with `Retry-After`, or from a cache.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_pace::{Quota, RateLimitLayer};
    /// # use std::convert::Infallible;
    /// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
    /// #     let response = http::Response::builder()
    /// #         .header("x-ratelimit-limit", "5000")
    /// #         .header("x-ratelimit-remaining", "4998")
    /// #         .header("x-ratelimit-reset", "1200");
    /// #     Ok(response.body(String::new()).unwrap())
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let client = service_fn(answer);
    ///
    /// let layer = RateLimitLayer::new(Quota::per_hour(5_000));
    /// layer.layer(client).oneshot(http::Request::default()).await.unwrap();
    ///
    /// let stated = layer.handle().stated_limits();
    /// let [limit] = stated[..] else { panic!("the response states one limit") };
    /// assert_eq!((limit.remaining, limit.limit), (4_998, Some(5_000)));
    /// assert!(limit.reset <= Duration::from_secs(1_200));
    /// # }
    /// ```
    #[must_use]
    pub fn stated_limits(&self) -> Vec<StatedLimit> {
        self.queue.look(|state, _, now| state.stated_limits(now))
    }

    /// Replaces the quota. Requests that have departed count for the new one; see
    /// [`Limiter::set_quota`](pacing::Limiter::set_quota).
    pub fn set_quota(&self, quota: Quota) {
        self.change(|state, now| state.set_quota(quota, now));
    }

    /// Applies a quota that the server stated, for example in a body. It is in force if it is
    /// slower than the configured one; otherwise the configured one is.
    ///
    /// A quota in a header field expires a minute after it was last stated. This one does not: it
    /// is in force until another one is stated or set.
    pub fn learn(&self, quota: Quota) {
        self.change(|state, now| state.learn(quota, now));
    }

    /// Records that the server's windows were reset: it counts no request from before.
    ///
    /// It is for a limit that is reset at a time that no response states, such as a daily limit at
    /// midnight. Call it a little after the reset by the server's clock, since a call before it
    /// gets requests throttled. See [`Limiter::record_reset`](pacing::Limiter::record_reset).
    pub fn record_reset(&self) {
        self.change(RateState::record_reset);
    }

    /// Pauses all departures until [`resume`](Self::resume). Waiters keep their positions and their
    /// bounds.
    pub fn pause(&self) {
        self.change(|state, _| state.pause());
    }

    /// Ends the pause.
    pub fn resume(&self) {
        self.change(|state, _| state.resume());
    }

    /// Closes the gate for `time`, as a throttled response with a `Retry-After` does, but without
    /// lowering the rate. A gate that is closed for longer stays closed.
    pub fn penalize(&self, time: Duration) {
        self.change(|state, now| state.penalize(time, now));
    }

    fn change(&self, change: impl FnOnce(&mut RateState, Moment)) {
        self.queue.change(|state, now| {
            change(state, now);
            // The waiters have set their timers by the limit before. Looking at all of them is
            // slow, and handles change a limit seldom.
            Wake::All
        });
    }
}
