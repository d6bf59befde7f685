use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::ReplayError;

/// The body of a request, and what was read of it.
///
/// Its readers, one for each attempt, are numbered in the order of the attempts. Only the latest may read.
pub(super) struct Source<B> {
    /// What is still to be read; `None` after its end.
    rest: Option<Pin<Box<B>>>,
    kept: Vec<Kept>,
    /// How many bytes may still be kept; `None` after more were read, when nothing is kept any more.
    room: Option<usize>,
    /// How much was read of the body.
    pub(super) read: Progress,
    readers: u32,
    /// The earliest reader that may still read.
    current: u32,
    /// The task of the reader that waits for more.
    waiting: Option<Waker>,
}

/// How far a body was read: frames that are kept, and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) frames: usize,
    pub(super) bytes: u64,
}

enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Progress {
    fn past(&mut self, frame: &Frame<Bytes>) {
        self.frames += 1;
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

impl Kept {
    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}

impl<B: Body> Source<B> {
    /// A body that has one reader, and is kept up to `limit` bytes; not at all if it says that it is longer.
    pub(super) fn new(body: B, limit: usize) -> Self {
        let fits = body.size_hint().lower() <= limit as u64;
        Self {
            rest: Some(Box::pin(body)),
            kept: Vec::new(),
            room: fits.then_some(limit),
            read: Progress::default(),
            readers: 1,
            current: 0,
            waiting: None,
        }
    }

    /// What follows `progress`, for the reader of this number.
    pub(super) fn poll_after(
        &mut self,
        reader: u32,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if reader < self.current {
            return Poll::Ready(Some(Err(ReplayError::superseded())));
        }
        self.current = reader;
        if let Some(kept) = self.kept.get(progress.frames) {
            let frame = kept.frame();
            progress.past(&frame);
            return Poll::Ready(Some(Ok(frame)));
        }
        if *progress != self.read {
            return Poll::Ready(Some(Err(ReplayError::lost())));
        }
        let frame = ready!(self.poll_rest(cx));
        *progress = self.read;
        Poll::Ready(frame)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = rest.as_mut().poll_frame(cx) else {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.waiting = None;
        match frame {
            None => self.rest = None,
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(self.keep(frame)))),
            Some(Err(error)) => {
                self.rest = None;
                self.forget();
                return Poll::Ready(Some(Err(ReplayError::body(error))));
            }
        }
        Poll::Ready(None)
    }

    fn keep(&mut self, frame: Frame<B::Data>) -> Frame<Bytes> {
        let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        self.read.past(&frame);
        let (kept, size) = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => (Some(Kept::Data(data.clone())), data.len().max(1)),
            (None, Some(trailers)) => (Some(Kept::Trailers(trailers.clone())), size(trailers)),
            (None, None) => (None, usize::MAX),
        };
        self.room = self.room.and_then(|room| room.checked_sub(size));
        match kept.filter(|_| self.room.is_some()) {
            Some(kept) => self.kept.push(kept),
            None => self.forget(),
        }
        frame
    }

    /// From here on the body passes once, and is not kept.
    fn forget(&mut self) {
        self.room = None;
        self.kept = Vec::new();
    }

    /// How much there is after `progress`.
    pub(super) fn size_after(&self, progress: Progress) -> SizeHint {
        let kept = self.read.bytes - progress.bytes;
        let rest = self.rest.as_ref().map(|rest| rest.size_hint());
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut size = SizeHint::new();
        size.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
            size.set_upper(upper);
        }
        size
    }

    pub(super) fn has_ended_after(&self, progress: Progress) -> bool {
        let has_ended = self.rest.as_ref().is_none_or(|rest| rest.is_end_stream());
        has_ended && progress == self.read
    }

    pub(super) fn add_reader(&mut self) -> u32 {
        self.readers += 1;
        self.readers - 1
    }
}

fn size(trailers: &HeaderMap) -> usize {
    let sizes = trailers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    sizes.sum::<usize>().max(1)
}

/// Says, in the extensions of a request, whether its body can be sent again. Clones of the request share it.
#[derive(Clone)]
pub(in crate::retry) struct Intact(Arc<dyn Claim>);

impl Intact {
    pub(super) fn new<B: Body + Send + 'static>(source: Arc<Mutex<Source<B>>>) -> Self {
        Self(source)
    }

    /// Takes the body over for the next attempt, if all of it that was read is kept. Earlier attempts read no further.
    pub(in crate::retry) fn claim(&self) -> bool {
        self.0.claim()
    }
}

trait Claim: Send + Sync {
    fn claim(&self) -> bool;
}

impl<B: Body + Send> Claim for Mutex<Source<B>> {
    fn claim(&self) -> bool {
        let mut source = self.lock().unwrap_or_else(PoisonError::into_inner);
        if source.room.is_none() {
            return false;
        }
        source.current = source.readers - 1;
        let superseded = source.waiting.take();
        // Woken without the lock: whoever it is finds that it reads no further.
        drop(source);
        superseded.into_iter().for_each(Waker::wake);
        true
    }
}
