use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::span::AttemptSpan;

pin_project! {
    /// The response future of [`Spanned`](super::Spanned). Its drop ends the span.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        span: AttemptSpan,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(response: F, span: AttemptSpan) -> Self {
        Self { response, span }
    }
}

impl<F, C, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = this.response;
        let result = ready!(this.span.in_scope(|| response.poll(cx)));
        this.span.end(&result);
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
