use std::sync::Arc;
use std::time::Duration;

use pacing::retry::RetryPolicy;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tower_layer::Layer;

use super::config::Config;
use super::drain::Drain;
use super::idempotency::IdempotencyKeys;
use super::report::Observer;
use super::state::RetryState;
use super::{BufferedRetryLayer, NotRetried, Retry, Retrying};
use crate::{Classifier, DeadlineLayer, random};

/// Applies [`Retry`]: sends requests again by a [`RetryPolicy`].
///
/// Clones and services share the budget, and the generator of the random part of backoffs.
///
/// ```
/// use tower_pace::{RetryLayer, RetryPolicy};
///
/// let layer = RetryLayer::new(RetryPolicy::default().attempts(3));
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer {
    config: Config,
}

impl RetryLayer {
    /// Returns a layer that retries by `policy`. The random part of its backoffs is seeded by the
    /// system.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        let state = RetryState::new(&policy, random::seeded_by_system());
        Self {
            config: Config {
                policy,
                drain: Drain::DEFAULT,
                sends_retry_count: false,
                classifier: Classifier::DEFAULT,
                keys: None,
                observer: None,
                end_observer: None,
                state,
            },
        }
    }

    /// Seeds the random part of backoffs, so that a test sees the same backoffs each time. Starts a
    /// new budget.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        self.config.state = RetryState::new(&self.config.policy, rng);
        self
    }

    /// Reads at most `bytes` of a response that is not returned, and for at most `time`, so that
    /// its HTTP/1.1 connection can be used again.
    ///
    /// The default is 256 KiB and 250 ms. A longer body is dropped at the bound. If either bound is
    /// zero, each body is dropped at once. Until a body is read or dropped, it holds its permit of
    /// a concurrency limit.
    #[must_use]
    pub fn drain(mut self, bytes: usize, time: Duration) -> Self {
        self.config.drain = Drain { bytes, time };
        self
    }

    /// Calls `observe` before each backoff, in the task of the request. It must not block.
    #[must_use]
    pub fn on_retry(mut self, observe: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        self.config.observer = Some(Observer::new(observe));
        self
    }

    /// Calls `observe` before a failed result is returned that might have been retried, in the task
    /// of the request. It must not block.
    ///
    /// It is the way to learn the reason after an error; a response has it in its extensions.
    ///
    /// ```
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_pace::RetryLayer;
    /// use tower_pace::retry::{GaveUp, NotRetried};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let client = service_fn(|_: http::Request<String>| async {
    /// #     let response = http::Response::builder().status(503);
    /// #     Ok::<_, std::convert::Infallible>(response.body(String::new()).unwrap())
    /// # });
    /// let retry = RetryLayer::default().on_give_up(|end| eprintln!("{:?}", end.reason()));
    /// let post = http::Request::post("/").body(String::new()).unwrap();
    /// let response = retry.layer(client).oneshot(post).await.unwrap();
    /// let end: &NotRetried = response.extensions().get().unwrap();
    /// assert_eq!(end.reason(), GaveUp::NotReplayable);
    /// # }
    /// ```
    #[must_use]
    pub fn on_give_up(mut self, observe: impl Fn(&NotRetried) + Send + Sync + 'static) -> Self {
        self.config.end_observer = Some(Observer::new(observe));
        self
    }

    /// Sets the meaning of responses and errors beyond the defaults. Give the same one to the
    /// [`RateLimitLayer`](crate::RateLimitLayer::classifier).
    #[must_use]
    pub fn classifier(mut self, classifier: Classifier) -> Self {
        self.config.classifier = classifier;
        self
    }

    /// Takes a request with an `Idempotency-Key` as safe to replay, and makes such keys if `keys`
    /// says so.
    ///
    /// Without it a key makes no replay safe, since a server may ignore the field.
    #[must_use]
    pub fn idempotency_keys(mut self, keys: IdempotencyKeys) -> Self {
        self.config.keys = Some(keys);
        self
    }

    /// Adds the header `X-Retry-Count` to every attempt but the first.
    #[must_use]
    pub fn send_retry_count(mut self) -> Self {
        self.config.sends_retry_count = true;
        self
    }

    /// Replays bodies that are not `Clone`, up to `limit` bytes each.
    ///
    /// The limit counts the data, at least one byte for each frame, and the names and values of
    /// trailers. The memory in use can be several times the limit: each frame takes about 100 bytes
    /// more, and keeps the whole buffer that it is a part of. The memory is freed when the call
    /// ends, or when the body exceeds the limit.
    #[must_use]
    pub fn buffered(self, limit: usize) -> BufferedRetryLayer {
        BufferedRetryLayer::new(self, limit)
    }

    /// Ends each call after a time, which includes all attempts and backoffs. The error is then an
    /// [`Error`](crate::Error).
    ///
    /// The time until the stack is ready is not included; see [`deadline`](crate::deadline).
    #[must_use]
    pub fn deadline(self, within: Duration) -> DeadlineLayer<Self> {
        DeadlineLayer::over(self, within)
    }

    #[cfg(test)]
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn service<S>(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::new(self.config.clone()))
    }
}

impl Default for RetryLayer {
    /// Returns a layer with the default policy.
    fn default() -> Self {
        Self::new(RetryPolicy::default())
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.service(inner)
    }
}
