use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::ReplayError;

/// The body of a request, and what was read of it.
///
/// Its readers are numbered in the order in which they were cloned. Once one of them has begun, none before it may read; once
/// the body was claimed for another attempt, only those that were cloned since.
pub(super) struct Source<B> {
    /// What is still to be read; `None` after its end.
    rest: Option<Pin<Box<B>>>,
    kept: Vec<Kept>,
    /// How many bytes may still be kept; `None` after more were read, when nothing is kept any more.
    room: Option<usize>,
    /// How much was read of the body.
    pub(super) read: Progress,
    readers: u64,
    /// The earliest reader that may still read.
    current: u64,
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

    /// Lets nobody read any more who comes before the reader of this number. Returns who waited meanwhile, to be woken
    /// without the lock: it finds that it reads no further.
    pub(super) fn hand_over(&mut self, reader: u64) -> Option<Waker> {
        if reader <= self.current {
            return None;
        }
        self.current = reader;
        self.waiting.take()
    }

    /// What follows `progress`, for the reader of this number, to whom it was [handed over](Self::hand_over).
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
            progress.past(&frame);
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

    /// Counts a frame that nobody got: whoever has not seen the failure must not take what is left for the whole.
    fn fail(&mut self) {
        self.forget();
        self.read.frames += 1;
    }

    /// Whether what follows `progress` was read and is not kept, or failed.
    fn is_lost(&self, progress: Progress) -> bool {
        progress != self.read && progress.frames >= self.kept.len()
    }

    /// How much there is after `progress`. For one to whom it is lost that is unknown: it must not announce that nothing is.
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

/// Says, in the extensions of a request, whether its body can be sent again. Clones of the request share it.
#[derive(Clone)]
pub(in crate::retry) struct Intact(Arc<dyn Claim>);

impl Intact {
    pub(super) fn new<B: Body + Send + 'static>(source: Arc<Mutex<Source<B>>>) -> Self {
        Self(source)
    }

    /// Says whether all of the body that was read is kept.
    pub(in crate::retry) fn is_kept(&self) -> bool {
        self.0.is_kept()
    }

    /// Takes the body over for the next attempt, if all of it that was read is kept. Only clones that are made from here on
    /// may read it.
    pub(in crate::retry) fn claim(&self) -> bool {
        self.0.claim()
    }
}

trait Claim: Send + Sync {
    fn is_kept(&self) -> bool;
    fn claim(&self) -> bool;
}

impl<B: Body + Send> Claim for Mutex<Source<B>> {
    fn is_kept(&self) -> bool {
        lock(self).room.is_some()
    }

    fn claim(&self) -> bool {
        let mut source = lock(self);
        if source.room.is_none() {
            return false;
        }
        let next = source.readers;
        let superseded = source.hand_over(next);
        drop(source);
        superseded.into_iter().for_each(Waker::wake);
        true
    }
}

/// A body that panicked has failed: nobody knows what is missing of it.
pub(super) fn lock<B: Body>(source: &Mutex<Source<B>>) -> MutexGuard<'_, Source<B>> {
    source.lock().unwrap_or_else(|poisoned| {
        let mut source = poisoned.into_inner();
        source.fail();
        source
    })
}
