use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use pacing::retry::{Attempts, Failure};
use tower_service::Service;

use super::body::BodyHandle;
use super::classify::failure;
use super::config::Config;
use super::drain::Drain;
use super::state::RetryToken;
use super::{Attempt, Retried, Retrying};
use crate::Deadline;

/// Decides about the retries of one request, and makes them.
pub(super) struct Retrier<S, B> {
    inner: S,
    /// Kept while another attempt is possible.
    request: Option<Request<B>>,
    attempts: Attempts,
    /// For the retry that waits for its backoff.
    token: Option<RetryToken>,
    config: Arc<Config>,
}

impl<S, B> Retrier<S, B> {
    /// Returns the retrier of a request whose first attempt was made. The request is `kept` if the
    /// policy allows another attempt.
    pub(super) fn new(inner: S, kept: Option<Request<B>>, config: Arc<Config>) -> Self {
        Self {
            inner,
            request: kept,
            attempts: Attempts::default(),
            token: None,
            config,
        }
    }

    /// Returns how long to wait before another attempt, or `None` if this result is the last.
    #[inline]
    pub(super) fn next_backoff<C, E: 'static>(
        &mut self,
        result: &Result<Response<C>, E>,
    ) -> Option<Duration> {
        let request = self.request.as_ref()?;
        let failure = failure(request, result, &self.config)?;
        let status = result.as_ref().ok().map(Response::status);
        self.backoff_after(failure, status)
    }

    // Out of line, so that a first attempt that succeeds pays for none of it.
    #[cold]
    fn backoff_after(&mut self, failure: Failure, status: Option<StatusCode>) -> Option<Duration> {
        let request = self.request.as_ref()?;
        let body: Option<&BodyHandle> = request.extensions().get();
        if !body.is_none_or(BodyHandle::is_kept) {
            return None;
        }
        let mut attempts = self.attempts;
        let left = deadline(request).map(Deadline::remaining);
        let wait = self.config.next_backoff(&mut attempts, failure, left)?;
        let token = self.config.try_acquire_token(failure)?;
        // Last, since from here on the body belongs to the next attempt. It fails if the current
        // attempt has meanwhile read more than is kept.
        if !body.is_none_or(BodyHandle::take_over) {
            return None;
        }
        (self.attempts, self.token) = (attempts, Some(token));
        self.emit(wait, status);
        Some(wait)
    }

    /// Reports the retry to the observer, and as an event.
    fn emit(&self, wait: Duration, status: Option<StatusCode>) {
        let retrying = Retrying {
            attempt: self.attempts.number(),
            wait,
            status,
        };
        retrying.emit();
        if let Some(observer) = &self.config.observer {
            observer.observe(&retrying);
        }
    }

    /// Returns how much to read of a response that is not returned.
    ///
    /// Beyond the backoff it is read for at most half of the time to the deadline. More would cost
    /// the next attempt.
    pub(super) fn drain(&self, wait: Duration) -> Drain {
        let left = self.request.as_ref().and_then(deadline);
        let left = left.map_or(Duration::MAX, Deadline::remaining);
        Drain {
            time: self.config.drain.time.min(wait.max(left / 2)),
            ..self.config.drain
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Request<B>>,
    {
        self.inner.poll_ready(cx)
    }

    /// Makes another attempt. The inner service must be ready.
    pub(super) fn call(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: Clone,
    {
        // A clone, even for the last attempt: only a clone that is made from now on may read a
        // body that was taken over.
        let request = self.request.as_ref();
        let mut request = request
            .expect("another attempt is made only while the request is kept")
            .clone();
        if !self.attempts.may_continue(&self.config.policy) {
            self.request = None;
        }
        let attempt = Attempt(self.attempts.number());
        request.extensions_mut().insert(attempt);
        if self.config.sends_retry_count {
            attempt.write_retry_count(request.headers_mut());
        }
        if let Some(token) = self.token.take() {
            token.spend();
        }
        self.inner.call(request)
    }

    /// Adds [`Retried`] to the last response, unless it is that of the first attempt.
    pub(super) fn mark<C, E>(&self, result: &mut Result<Response<C>, E>) {
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
