use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};

use super::ReplayError;
use super::source::{Intact, Progress, Source, lock};

/// A request's body that can be sent again, since what is read of it is kept.
///
/// Each attempt reads it from its start: what earlier ones have read, and then on, so that nothing is read twice and
/// nothing is read ahead. Trailers, sizes and the end are those of the body. An earlier attempt that is still reading,
/// because its answer came early, breaks off with an error, and so does a body of which more was read than is kept.
pub struct ReplayBody<B> {
    source: Arc<Mutex<Source<B>>>,
    /// Which of the body's readers this is.
    number: u64,
    progress: Progress,
}

impl<B: Body + Send + 'static> ReplayBody<B> {
    /// Puts itself in the place of a request's body.
    pub(in crate::retry) fn within(request: Request<B>, limit: usize) -> Request<Self> {
        let mut request = request.map(|body| Self {
            source: Arc::new(Mutex::new(Source::new(body, limit))),
            number: 0,
            progress: Progress::default(),
        });
        let intact = Intact::new(Arc::clone(&request.body().source));
        request.extensions_mut().insert(intact);
        request
    }
}

impl<B: Body> Clone for ReplayBody<B> {
    /// Returns the same body, from its start. Once the clone is read, its original breaks off.
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
        // Woken before the body is polled: one that panics must not keep an earlier reader waiting.
        let superseded = lock(&self.source).hand_over(number);
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
    /// Says nothing of what is in the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
