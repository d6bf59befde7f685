use std::task::{Context, Poll};

use http::{Request, Response};
use pacing::{Cost, Group};
use tower_service::Service;

use super::future::Reports;
use super::state::RateState;
use super::{Handle, ResponseFuture, Scope, Single};
use crate::wait::{UnboundedWait, WaitPolicy, Waiter};

/// Spaces requests so that the server throttles none; see the [module](super).
///
/// Clones share the limit. The error is that of the inner service, or
/// [`Error`](crate::Error) if the waits are bounded.
#[derive(Clone, Debug)]
pub struct RateLimit<S, W = UnboundedWait, K = Single> {
    inner: S,
    group: Group,
    settings: Settings<W, K>,
}

/// The settings that a layer and its services share.
#[derive(Clone, Debug)]
pub(super) struct Settings<W, K> {
    /// The limit of the layer.
    pub(super) common: Handle,
    pub(super) scope: K,
    pub(super) policy: W,
    /// Whether each response reports the wait of its request, even if there was none.
    pub(super) explain: bool,
}

impl<S, W, K> RateLimit<S, W, K> {
    pub(super) fn new(inner: S, settings: Settings<W, K>) -> Self {
        Self {
            inner,
            // One group for each service, in the queues of all keys.
            group: settings.common.add_group(),
            settings,
        }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service. A request made through it is not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<W: WaitPolicy, K> Settings<W, K> {
    fn waiter<B>(
        &self,
        group: Group,
        request: &Request<B>,
        cost: Option<Cost>,
    ) -> Waiter<RateState, W>
    where
        K: Scope<B>,
    {
        let limit = self.scope.limit(request, &self.common);
        let policy = self.policy.with_request(request.extensions());
        Waiter::new(limit.queue(), group, cost.unwrap_or_default(), policy)
    }
}

impl<S, B, C, W, K> Service<Request<B>> for RateLimit<S, W, K>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: 'static,
    W: WaitPolicy,
    K: Scope<B>,
{
    type Response = Response<C>;
    type Error = W::Error<S::Error>;
    type Future = ResponseFuture<S, B, W>;

    /// Returns ready at once: the request waits in its future, which polls the inner service when
    /// the departure is due.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let cost: Option<Cost> = request.extensions().get().copied();
        let waiter = self.settings.waiter(self.group, &request, cost);
        let reports = Reports {
            wait: self.settings.explain,
            cost: cost.is_some(),
        };
        // A clone is enough: the inner service was never polled for readiness, so there is none to
        // keep.
        ResponseFuture::new(self.inner.clone(), waiter, request, reports)
    }
}
