use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::permit::Permit;

pin_project! {
    /// A response body that holds a permit until it has ended, has failed or is dropped.
    ///
    /// Frames, trailers and size hints are those of the inner body. It is read as any body, without
    /// its name. The name is needed where a closure or a type alias gets the response:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::combinators::UnsyncBoxBody;
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_pace::ConcurrencyLayer;
    /// use tower_pace::concurrency::PermitBody;
    /// # use std::convert::Infallible;
    /// # type Response = http::Response<Full<Bytes>>;
    /// # async fn answer(_: http::Request<String>) -> Result<Response, Infallible> {
    /// #     Ok(Response::new(Full::from("hello")))
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let client = tower::service_fn(answer); // responds with a `Full<Bytes>`
    ///
    /// type Boxed = http::Response<UnsyncBoxBody<Bytes, Infallible>>;
    ///
    /// let service = ServiceBuilder::new()
    ///     .map_response(|response: http::Response<PermitBody<Full<Bytes>>>| -> Boxed {
    ///         response.map(BodyExt::boxed_unsync)
    ///     })
    ///     .layer(ConcurrencyLayer::new(32))
    ///     .service(client);
    ///
    /// let response: Boxed = service.oneshot(http::Request::default()).await.unwrap();
    /// assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    /// # }
    /// ```
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
