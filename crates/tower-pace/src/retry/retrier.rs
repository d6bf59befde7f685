use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use pacing::retry::{Attempts, Failure};
use tower_service::Service;

use super::body::BodyHandle;
use super::classify::{End, end};
use super::config::Config;
use super::drain::Drain;
use super::state::RetryToken;
use super::{Attempt, GaveUp, NotRetried, Retried, Retrying};
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

    /// Returns how long to wait before another attempt. If this result is the last, it returns why
    /// a failure is not retried.
    #[inline]
    pub(super) fn next_backoff<C, E: 'static>(
        &mut self,
        result: &Result<Response<C>, E>,
    ) -> Result<Duration, Option<GaveUp>> {
        match end(self.request.as_ref(), result, &self.config) {
            End::Final => Err(None),
            End::Unsafe => Err(Some(GaveUp::NotReplayable)),
            End::Failed(failure) => {
                let status = result.as_ref().ok().map(Response::status);
                self.backoff_after(failure, status).map_err(Some)
            }
        }
    }

    // Out of line, so that a first attempt that succeeds pays for none of it.
    #[cold]
    fn backoff_after(
        &mut self,
        failure: Failure,
        status: Option<StatusCode>,
    ) -> Result<Duration, GaveUp> {
        let request = self.request.as_ref().ok_or(GaveUp::Attempts)?;
        let body: Option<&BodyHandle> = request.extensions().get();
        if !body.is_none_or(BodyHandle::is_kept) {
            return Err(GaveUp::BodyTooLong);
        }
        let mut attempts = self.attempts;
        let left = deadline(request).map(Deadline::remaining);
        let wait = self.config.next_backoff(&mut attempts, failure, left)?;
        let token = self.config.try_acquire_token(failure);
        let token = token.ok_or(GaveUp::Budget)?;
        // Last, since from here on the body belongs to the next attempt. It fails if the current
        // attempt has meanwhile read more than is kept.
        if !body.is_none_or(BodyHandle::take_over) {
            return Err(GaveUp::BodyTooLong);
        }
        (self.attempts, self.token) = (attempts, Some(token));
        self.emit(wait, status);
        Ok(wait)
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

    /// Reports why a failed result is the last one.
    #[cold]
    pub(super) fn give_up<C, E>(&self, reason: GaveUp, result: &mut Result<Response<C>, E>) {
        let end = NotRetried {
            reason,
            attempts: self.attempts.number(),
            status: result.as_ref().ok().map(Response::status),
        };
        end.emit();
        if let Some(observer) = &self.config.end_observer {
            observer.observe(&end);
        }
        if let Ok(response) = result {
            response.extensions_mut().insert(end);
        }
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
