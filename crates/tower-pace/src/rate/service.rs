use std::task::{Context, Poll};

use http::{Request, Response};
use pacing::Group;
use tower_service::Service;

use super::state::RateState;
use super::{Handle, ResponseFuture, Scope, Single};
use crate::wait::{UnboundedWait, WaitPolicy, Waiter};

/// Lets requests leave so that the server refuses none; see the [module](super).
///
/// Clones share the limit. The inner service's error is passed on as it is: this service has none of its own, unless
/// its waits are bounded; then it fails with [`Error`](crate::Error).
#[derive(Clone, Debug)]
pub struct RateLimit<S, W = UnboundedWait, K = Single> {
    inner: S,
    group: Group,
    settings: Settings<W, K>,
}

/// What a layer and its services have in common.
#[derive(Clone, Debug)]
pub(super) struct Settings<W, K> {
    /// The limit that is always there.
    pub(super) common: Handle,
    pub(super) scope: K,
    pub(super) policy: W,
    /// Whether every response says how long its request waited.
    pub(super) explain: bool,
}

impl<S, W, K> RateLimit<S, W, K> {
    pub(super) fn new(inner: S, settings: Settings<W, K>) -> Self {
        Self {
            inner,
            // The groups of all keys are the same: one for each service that was made.
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
    fn waiter<B>(&self, group: Group, request: &Request<B>) -> Waiter<RateState, W>
    where
        K: Scope<B>,
    {
        let limit = self.scope.limit(request, &self.common);
        let extensions = request.extensions();
        let cost = extensions.get().copied().unwrap_or_default();
        let policy = self.policy.with_request(extensions);
        Waiter::new(limit.queue(), group, cost, policy)
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

    /// Is always ready: the request waits in its future, which asks the inner service when its turn has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let waiter = self.settings.waiter(self.group, &request);
        // A clone is enough: the inner service was never asked for readiness, so there is none to keep.
        ResponseFuture::new(self.inner.clone(), waiter, request, self.settings.explain)
    }
}
