use std::sync::Arc;
use std::time::Duration;

use pacing::retry::RetryPolicy;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tower_layer::Layer;

use super::drain::Drain;
use super::report::Observer;
use super::shared::{Plan, Shared};
use super::{BufferedRetryLayer, Retry, Retrying};
use crate::{DeadlineLayer, HintHeaders, random};

/// Applies [`Retry`]: a request is sent again by a [`RetryPolicy`], when that is safe.
///
/// Clones share the budget and the generator of the jitter.
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
    plan: Plan,
}

impl RetryLayer {
    /// Returns a layer whose jitter is seeded by the system.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        let shared = Shared::new(&policy, random::seeded_by_system());
        Self {
            plan: Plan {
                policy,
                drain: Drain::DEFAULT,
                counts_retries: false,
                hints: HintHeaders::DEFAULT,
                observer: None,
                shared,
            },
        }
    }

    /// Seeds the jitter, so that a test sees the same delays each time. The budget is a new one.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        self.plan.shared = Shared::new(&self.plan.policy, rng);
        self
    }

    /// Reads up to `bytes` of a response that is not returned, and for `time` at most, so that an HTTP/1.1 connection can
    /// be used again; by default 256 KiB and 250 ms. What is longer is dropped. Zero for either drops at once. A permit that
    /// the body holds is held until then.
    #[must_use]
    pub fn drain(mut self, bytes: usize, time: Duration) -> Self {
        self.plan.drain = Drain { bytes, time };
        self
    }

    /// Calls `observe` before the wait for each retry, in the task of the request. It must not block.
    #[must_use]
    pub fn on_retry(mut self, observe: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        self.plan.observer = Some(Observer::new(observe));
        self
    }

    /// Reads `headers` in the place of the [default list](HintHeaders) of vendors' fields, in which
    /// a server says when and whether to retry.
    #[must_use]
    pub fn hint_headers(mut self, headers: HintHeaders) -> Self {
        self.plan.hints = headers;
        self
    }

    /// Adds the header `X-Retry-Count` to every attempt but the first.
    #[must_use]
    pub fn send_retry_count(mut self) -> Self {
        self.plan.counts_retries = true;
        self
    }

    /// Replays bodies that are not `Clone`, up to `limit` bytes each.
    ///
    /// It counts the content, a frame of data for one byte at least, and names and values of trailers. The memory that is
    /// held may be a multiple of that: each frame takes some 100 bytes besides, and keeps all of the buffer that it is a part of.
    /// It is held until the call ends, or the body is longer.
    #[must_use]
    pub fn buffered(self, limit: usize) -> BufferedRetryLayer {
        BufferedRetryLayer::new(self, limit)
    }

    /// Ends every call within a time, waits and all attempts together; the error is then [`Error`](crate::Error).
    /// The time in which the stack becomes ready does not count; see [`deadline`](crate::deadline).
    #[must_use]
    pub fn deadline(self, within: Duration) -> DeadlineLayer<Self> {
        DeadlineLayer::over(self, within)
    }

    pub(super) fn service<S>(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::new(self.plan.clone()))
    }
}

impl Default for RetryLayer {
    /// Retries by the default policy.
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
