use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use pacing::Adaptive;
use tower_layer::Layer;

use super::state::ConcurrencyState;
use super::{BodyEnd, Concurrency, Handle, ResponseHead};
use crate::wait::{BoundedWait, Queue, UnboundedWait, WaitPolicy};

/// Applies [`Concurrency`]: at most so many requests in flight, to the end of the response's body.
///
/// The state belongs to the value that [`new`](Self::new) returned: its clones, and all services
/// that it and they make, share it. Another call of `new` shares nothing with it.
///
/// ```
/// use tower_pace::ConcurrencyLayer;
///
/// let layer = ConcurrencyLayer::new(32);
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
pub struct ConcurrencyLayer<U = BodyEnd, W = UnboundedWait> {
    queue: Arc<Queue<ConcurrencyState>>,
    policy: W,
    until: PhantomData<U>,
}

impl ConcurrencyLayer {
    /// Returns a layer that lets `limit` requests be in flight at once.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero, which would let nothing through.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::of(ConcurrencyState::fixed(limit), UnboundedWait)
    }

    /// Returns a layer that learns from the answers how many requests the server can take at once.
    ///
    /// The limit is moved by trials: it goes up or down for some requests, and stays there if the
    /// time to the head of the response says so. It settles where that time begins to rise with the
    /// limit. An error, a 502, a 503 and a 504 count as slow answers; when most requests end so,
    /// the limit falls at once. A 429 says nothing: it speaks of the rate, and is for the rate
    /// limit. [`pacing::AdaptiveLimit`] has the rule and what to expect of it.
    ///
    /// It learns only while requests wait for a permit or take the last one. In the end one request
    /// in six departs at 1.25 to 1.5 times the limit that was found, or at two thirds of it. The
    /// more latencies vary, the more answers a trial takes: 8 or one round trip if they are alike,
    /// about 150 if their standard deviation is their mean. Three clients or more that share a
    /// server queue there, since each sees little of what it does: choose the upper bound so that
    /// all of them together are no harm.
    ///
    /// ```
    /// use tower_pace::{Adaptive, ConcurrencyLayer};
    ///
    /// let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    /// assert_eq!(layer.handle().snapshot().limit, 10);
    /// ```
    #[must_use]
    pub fn adaptive(bounds: Adaptive) -> Self {
        Self::of(ConcurrencyState::adaptive(bounds), UnboundedWait)
    }
}

impl<U, W: WaitPolicy> ConcurrencyLayer<U, W> {
    fn of(queue: Arc<Queue<ConcurrencyState>>, policy: W) -> Self {
        Self {
            queue,
            policy,
            until: PhantomData,
        }
    }

    /// Counts a request until its response's body has ended: the default.
    #[must_use]
    pub fn until_body_end(self) -> ConcurrencyLayer<BodyEnd, W> {
        ConcurrencyLayer::of(self.queue, self.policy)
    }

    /// Counts a request only until the head of its response has come, and passes the body on as it
    /// is.
    #[must_use]
    pub fn until_response(self) -> ConcurrencyLayer<ResponseHead, W> {
        ConcurrencyLayer::of(self.queue, self.policy)
    }

    /// Refuses a request that would have to wait while `others` stand in the line.
    #[must_use]
    pub fn max_queued(self, others: usize) -> ConcurrencyLayer<U, BoundedWait> {
        self.bounded(|bounds| bounds.max_queued(others))
    }

    /// Refuses a request that has waited for `time`. The wait for an inner service that is not
    /// ready counts.
    ///
    /// The wait is the service's readiness, before there is a request, so a request's
    /// [`Deadline`](crate::Deadline) is not heeded.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> ConcurrencyLayer<U, BoundedWait> {
        self.bounded(|bounds| bounds.max_wait(time))
    }

    /// Refuses a request for which there is no permit now.
    #[must_use]
    pub fn fail_fast(self) -> ConcurrencyLayer<U, BoundedWait> {
        self.max_wait(Duration::ZERO)
    }

    /// Returns a handle on the limit that the services of this layer share.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.queue))
    }

    fn bounded(
        self,
        set: impl FnOnce(BoundedWait) -> BoundedWait,
    ) -> ConcurrencyLayer<U, BoundedWait> {
        let bounds = set(self.policy.bounds());
        ConcurrencyLayer::of(self.queue, bounds)
    }
}

impl<S, U, W: WaitPolicy> Layer<S> for ConcurrencyLayer<U, W> {
    type Service = Concurrency<S, U, W>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, Arc::clone(&self.queue), self.policy.clone())
    }
}

impl<U, W: WaitPolicy> Clone for ConcurrencyLayer<U, W> {
    /// By hand, since what `U` is does not matter.
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.queue), self.policy.clone())
    }
}

impl<U, W: WaitPolicy + fmt::Debug> fmt::Debug for ConcurrencyLayer<U, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLayer")
            .field("policy", &self.policy)
            .field("state", &self.handle())
            .finish_non_exhaustive()
    }
}
