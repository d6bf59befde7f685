use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use pacing::retry::{Attempts, Failure};
use tower_service::Service;

use super::body::Intact;
use super::classify::failure;
use super::drain::Drain;
use super::shared::{Payment, Plan};
use super::{Attempt, Retried, Retrying};
use crate::Deadline;

/// The attempts of one request, and what is needed for another.
pub(super) struct Retries<S, B> {
    inner: S,
    /// Kept for as long as another attempt is possible.
    request: Option<Request<B>>,
    attempts: Attempts,
    /// For the retry that is waited for.
    payment: Option<Payment>,
    plan: Arc<Plan>,
}

impl<S, B> Retries<S, B> {
    /// What is needed after the first attempt, for which a request that is `kept` is left.
    pub(super) fn new(inner: S, kept: Option<Request<B>>, plan: Arc<Plan>) -> Self {
        Self {
            inner,
            request: kept,
            attempts: Attempts::default(),
            payment: None,
            plan,
        }
    }

    fn may_continue(&self) -> bool {
        self.attempts.may_continue(&self.plan.policy)
    }

    /// Decides how long to wait for another attempt, if there is to be one.
    #[inline]
    pub(super) fn decide<C, E: 'static>(
        &mut self,
        result: &Result<Response<C>, E>,
    ) -> Option<Duration> {
        let request = self.request.as_ref()?;
        let failure = failure(request, result, &self.plan.policy, &self.plan.hints)?;
        let status = result.as_ref().ok().map(Response::status);
        self.decide_after(failure, status)
    }

    // Out of line, so that a first attempt that succeeds pays for none of it.
    #[cold]
    fn decide_after(&mut self, failure: Failure, status: Option<StatusCode>) -> Option<Duration> {
        let request = self.request.as_ref()?;
        let body: Option<&Intact> = request.extensions().get();
        if !body.is_none_or(Intact::is_kept) {
            return None;
        }
        let mut attempts = self.attempts;
        let left = deadline(request).map(Deadline::remaining);
        let wait = self.plan.wait(&mut attempts, failure, left)?;
        let payment = self.plan.pay(failure)?;
        // Asked last: from here on the body belongs to the next attempt. More of it may have been read meanwhile.
        if !body.is_none_or(Intact::claim) {
            return None;
        }
        (self.attempts, self.payment) = (attempts, Some(payment));
        self.tell(wait, status);
        Some(wait)
    }

    fn tell(&self, wait: Duration, status: Option<StatusCode>) {
        let retrying = Retrying {
            attempt: self.attempts.number(),
            wait,
            status,
        };
        retrying.trace();
        if let Some(observer) = &self.plan.observer {
            observer.tell(&retrying);
        }
    }

    /// How much of an answer to read that is not returned: beyond the `wait` for no more than half of the time that is
    /// left, or reading it would cost the next attempt.
    pub(super) fn drain(&self, wait: Duration) -> Drain {
        let left = self.request.as_ref().and_then(deadline);
        let left = left.map_or(Duration::MAX, Deadline::remaining);
        Drain {
            time: self.plan.drain.time.min(wait.max(left / 2)),
            ..self.plan.drain
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Request<B>>,
    {
        self.inner.poll_ready(cx)
    }

    /// Makes another attempt. The inner service must be ready.
    pub(super) fn call_again(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: Clone,
    {
        // A clone, even if it is the last: its body belongs to this attempt, whatever was cloned before it.
        let request = self.request.as_ref();
        let mut request = request
            .expect("another attempt is made only while the request is kept")
            .clone();
        if !self.may_continue() {
            self.request = None;
        }
        let attempt = Attempt(self.attempts.number());
        request.extensions_mut().insert(attempt);
        if self.plan.counts_retries {
            attempt.write_retry_count(request.headers_mut());
        }
        if let Some(payment) = self.payment.take() {
            payment.spend();
        }
        self.inner.call(request)
    }

    /// Says in the last response, if it is not the first, what it took.
    pub(super) fn report<C, E>(&self, result: &mut Result<Response<C>, E>) {
        let (attempts, waited) = (self.attempts.number(), self.attempts.waited());
        if let (Ok(response), true) = (result, attempts > 1) {
            let retried = Retried { attempts, waited };
            response.extensions_mut().insert(retried);
        }
    }
}

fn deadline<B>(request: &Request<B>) -> Option<Deadline> {
    request.extensions().get().copied()
}
