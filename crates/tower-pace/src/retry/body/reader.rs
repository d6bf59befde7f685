use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};

use super::ReplayError;
use super::source::{BodyHandle, Progress, Source, lock};

/// A request body that can be sent again.
///
/// Each attempt reads it from the start: first the frames that earlier attempts have read and that
/// are kept, and then the rest of the body. The body is read only once, and never ahead of the
/// attempt. Trailers, size hints and the end are those of the body.
///
/// # Errors
///
/// Fails with a [`ReplayError`] if a later attempt has started to read the body, if the body
/// failed, or if frames before this attempt's position are not kept any more.
pub struct ReplayBody<B> {
    source: Arc<Mutex<Source<B>>>,
    /// The number of this reader, in the order in which readers were cloned.
    number: u64,
    progress: Progress,
}

impl<B: Body + Send + 'static> ReplayBody<B> {
    /// Wraps the body of a request, and adds its [`BodyHandle`] to the extensions.
    pub(in crate::retry) fn within(request: Request<B>, limit: usize) -> Request<Self> {
        let mut request = request.map(|body| Self {
            source: Arc::new(Mutex::new(Source::new(body, limit))),
            number: 0,
            progress: Progress::default(),
        });
        let handle = BodyHandle::new(Arc::clone(&request.body().source));
        request.extensions_mut().insert(handle);
        request
    }
}

impl<B: Body> Clone for ReplayBody<B> {
    /// Returns the same body, from its start. Once the clone is read, the original fails.
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            number: lock(&self.source).add_reader(),
            progress: Progress::default(),
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        let (number, mut progress) = (self.number, self.progress);
        // Woken before the body is polled: if the body panics, an earlier reader must not wait for
        // it. Woken without the lock, since a waker may run any code.
        let superseded = lock(&self.source).start_reader(number);
        superseded.into_iter().for_each(Waker::wake);
        let frame = lock(&self.source).poll_after(number, &mut progress, cx);
        self.progress = progress;
        frame
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.source).has_ended_after(self.progress)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.source).size_after(self.progress)
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    /// Shows no data of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
