use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::ReplayError;

/// The body of a request, and the frames that were read.
///
/// Readers are numbered in the order in which they were cloned. Once a reader has started, the
/// readers before it may not read. Once the body was taken over for the next attempt, only readers
/// that were cloned since then may read.
pub(super) struct Source<B> {
    /// The rest of the body; `None` after its end.
    rest: Option<Pin<Box<B>>>,
    kept: Vec<Kept>,
    /// How many more bytes may be kept; `None` once more were read, when nothing is kept any more.
    room: Option<usize>,
    /// How far the body was read.
    pub(super) read: Progress,
    readers: u64,
    /// The earliest reader that may still read.
    current: u64,
    /// The task of the reader that waits for more.
    waiting: Option<Waker>,
}

/// How far a body was read: the number of frames, and the bytes of data in them.
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
    fn advance(&mut self, frame: &Frame<Bytes>) {
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
    /// Returns a body with one reader. Up to `limit` bytes are kept; none if the body is longer by
    /// its own size hint.
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

    /// Supersedes all readers before the reader of this number.
    ///
    /// Returns the waker of a superseded reader that waits for a frame. It is to be woken without
    /// the lock.
    pub(super) fn start_reader(&mut self, reader: u64) -> Option<Waker> {
        if reader <= self.current {
            return None;
        }
        self.current = reader;
        self.waiting.take()
    }

    /// Returns the frame after `progress`, to a reader that was [started](Self::start_reader).
    pub(super) fn poll_after(
        &mut self,
        reader: u64,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if reader < self.current {
            return Poll::Ready(Some(Err(ReplayError::superseded())));
        }
        if let Some(kept) = self.kept.get(progress.frames) {
            let frame = kept.frame();
            progress.advance(&frame);
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.is_lost(*progress) {
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
                self.fail();
                return Poll::Ready(Some(Err(ReplayError::body(error))));
            }
        }
        Poll::Ready(None)
    }

    fn keep(&mut self, frame: Frame<B::Data>) -> Frame<Bytes> {
        let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        self.read.advance(&frame);
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

    /// Drops the kept frames. From now on the body is read once and not kept.
    fn forget(&mut self) {
        self.room = None;
        self.kept = Vec::new();
    }

    /// Records a failure of the body.
    // It counts as a frame that no reader got: another reader must not take the rest of the body
    // for the whole.
    fn fail(&mut self) {
        self.forget();
        self.read.frames += 1;
    }

    /// Returns whether the frame after `progress` was read and is not kept, or failed.
    fn is_lost(&self, progress: Progress) -> bool {
        progress != self.read && progress.frames >= self.kept.len()
    }

    /// Returns the size of the body after `progress`. It is unknown if the next frame is lost: a
    /// hint of zero bytes would end the request as if it were complete.
    pub(super) fn size_after(&self, progress: Progress) -> SizeHint {
        if self.is_lost(progress) {
            return SizeHint::default();
        }
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

    pub(super) fn add_reader(&mut self) -> u64 {
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

/// Lets the retry layer take over a [`ReplayBody`](super::ReplayBody) for the next attempt, without
/// its type. It is in the extensions of the request, and clones of the request share it.
#[derive(Clone)]
pub(in crate::retry) struct BodyHandle(Arc<dyn TakeOver>);

impl BodyHandle {
    pub(super) fn new<B: Body + Send + 'static>(source: Arc<Mutex<Source<B>>>) -> Self {
        Self(source)
    }

    /// Returns whether all frames that were read are kept.
    pub(in crate::retry) fn is_kept(&self) -> bool {
        self.0.is_kept()
    }

    /// Takes over the body for the next attempt, if all frames that were read are kept. From now on
    /// only later clones may read it.
    pub(in crate::retry) fn take_over(&self) -> bool {
        self.0.take_over()
    }
}

trait TakeOver: Send + Sync {
    fn is_kept(&self) -> bool;
    fn take_over(&self) -> bool;
}

impl<B: Body + Send> TakeOver for Mutex<Source<B>> {
    fn is_kept(&self) -> bool {
        lock(self).room.is_some()
    }

    fn take_over(&self) -> bool {
        let mut source = lock(self);
        if source.room.is_none() {
            return false;
        }
        let next = source.readers;
        let superseded = source.start_reader(next);
        drop(source);
        superseded.into_iter().for_each(Waker::wake);
        true
    }
}

/// Acquires the lock. It is poisoned if the body panicked while it was polled. The body has then
/// failed, since a frame of it may be missing.
pub(super) fn lock<B: Body>(source: &Mutex<Source<B>>) -> MutexGuard<'_, Source<B>> {
    source.lock().unwrap_or_else(|poisoned| {
        let mut source = poisoned.into_inner();
        source.fail();
        source
    })
}
