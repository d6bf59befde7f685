use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use pacing::Adaptive;
use tower_layer::Layer;

use super::state::ConcurrencyState;
use super::{BodyEnd, Concurrency, Handle, ResponseHead};
use crate::wait::{BoundedWait, Queue, UnboundedWait, WaitPolicy};

/// Applies [`Concurrency`]: bounds how many requests are in flight, to the end of the response's
/// body.
///
/// Clones of a layer and their services share one limit. Each call of [`new`](Self::new) starts a
/// limit of its own.
///
/// ```
/// use tower_pace::ConcurrencyLayer;
///
/// let layer = ConcurrencyLayer::new(32);
/// # fn assert_shareable<T: Clone + Send + Sync>(_: &T) {}
/// assert_shareable(&layer);
/// ```
pub struct ConcurrencyLayer<W = UnboundedWait, U = BodyEnd> {
    queue: Arc<Queue<ConcurrencyState>>,
    policy: W,
    until: PhantomData<U>,
}

impl ConcurrencyLayer {
    /// Returns a layer that lets `limit` requests be in flight at once.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero: no request could depart.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::of(ConcurrencyState::fixed(limit), UnboundedWait)
    }

    /// Returns a layer that learns from the responses how many requests the server can handle at
    /// once.
    ///
    /// The limit changes by trials. A trial raises or lowers the limit for some requests, and keeps
    /// the new limit if their latency, the time to the head of the response, allows it. The limit
    /// settles where the latency begins to rise with it. An error, a 502, a 503 and a 504 count as
    /// slow responses. If most requests end so, the limit falls at once. A 429 is ignored, since it
    /// is about the rate. [`pacing::AdaptiveLimit`] has the exact rule.
    ///
    /// # What to expect
    ///
    /// The limit learns only while requests wait for a permit or acquire the last one. Once it has
    /// settled, one request in six departs in a trial, at 1.25 to 1.5 times the limit or at two
    /// thirds of it.
    ///
    /// A trial takes more responses if latencies vary more: 8, or one round trip, if they are
    /// equal, and about 150 if their standard deviation equals their mean.
    ///
    /// If three or more clients share a server, their requests queue there, since each client
    /// sees little of its own effect. Choose upper bounds whose sum the server can handle.
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

impl<W: WaitPolicy, U> ConcurrencyLayer<W, U> {
    fn of(queue: Arc<Queue<ConcurrencyState>>, policy: W) -> Self {
        Self {
            queue,
            policy,
            until: PhantomData,
        }
    }

    /// Counts a request until its response's body has ended. This is the default.
    #[must_use]
    pub fn until_body_end(self) -> ConcurrencyLayer<W, BodyEnd> {
        ConcurrencyLayer::of(self.queue, self.policy)
    }

    /// Counts a request only until the head of its response is there, and returns the body
    /// unchanged.
    #[must_use]
    pub fn until_response(self) -> ConcurrencyLayer<W, ResponseHead> {
        ConcurrencyLayer::of(self.queue, self.policy)
    }

    /// Rejects a request that would have to wait while `others` are queued.
    #[must_use]
    pub fn max_queued(self, others: usize) -> ConcurrencyLayer<BoundedWait, U> {
        self.bounded(|bounds| bounds.max_queued(others))
    }

    /// Rejects a request that has waited for `time`, which includes the wait for an inner service
    /// that is not ready.
    ///
    /// The service waits in `poll_ready`, where it has no request yet. So a request's
    /// [`Deadline`](crate::Deadline) does not bound the wait.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> ConcurrencyLayer<BoundedWait, U> {
        self.bounded(|bounds| bounds.max_wait(time))
    }

    /// Rejects a request if no permit is free.
    #[must_use]
    pub fn fail_fast(self) -> ConcurrencyLayer<BoundedWait, U> {
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
    ) -> ConcurrencyLayer<BoundedWait, U> {
        let bounds = set(self.policy.bounds());
        ConcurrencyLayer::of(self.queue, bounds)
    }
}

impl<S, W: WaitPolicy, U> Layer<S> for ConcurrencyLayer<W, U> {
    type Service = Concurrency<S, W, U>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, Arc::clone(&self.queue), self.policy.clone())
    }
}

impl<W: WaitPolicy, U> Clone for ConcurrencyLayer<W, U> {
    // Not derived: a derive would require `U: Clone`.
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.queue), self.policy.clone())
    }
}

impl<W: WaitPolicy + fmt::Debug, U> fmt::Debug for ConcurrencyLayer<W, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLayer")
            .field("policy", &self.policy)
            .field("state", &self.handle())
            .finish_non_exhaustive()
    }
}
