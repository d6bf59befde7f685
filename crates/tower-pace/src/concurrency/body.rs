use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::permit::Permit;

pin_project! {
    /// A response body that holds a permit until it has ended, has failed or is dropped.
    ///
    /// Frames, trailers and size hints are those of the inner body.
    #[derive(Debug, Default)]
    pub struct PermitBody<C> {
        #[pin]
        inner: C,
        permit: Option<Permit>,
    }
}

impl<C: Body> PermitBody<C> {
    pub(super) fn holding(inner: C, permit: Permit) -> Self {
        let permit = Some(permit).filter(|_| !inner.is_end_stream());
        Self { inner, permit }
    }

    pub(super) fn free(inner: C) -> Self {
        Self {
            inner,
            permit: None,
        }
    }
}

impl<C: Body> Body for PermitBody<C> {
    type Data = C::Data;
    type Error = C::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
