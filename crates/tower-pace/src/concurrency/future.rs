use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use super::PermitBody;
use super::permit::Permit;

pin_project! {
    /// The response of [`Concurrency`](super::Concurrency). A drop, or the end of the call, gives the permit back, unless
    /// the response has a body that is still to come: then the body holds it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, permit: Permit) -> Self {
        Self {
            inner,
            permit: Some(permit),
        }
    }
}

impl<F, C, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: Body,
{
    type Output = Result<Response<PermitBody<C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        // Taken even if the call failed: a future that has completed may live on and must hold nothing.
        let permit = this.permit.take();
        Poll::Ready(result.map(|response| hold(response, permit)))
    }
}

fn hold<C: Body>(response: Response<C>, permit: Option<Permit>) -> Response<PermitBody<C>> {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    response.map(|body| match upgraded {
        true => PermitBody::free(body),
        false => PermitBody::holding(body, permit),
    })
}
