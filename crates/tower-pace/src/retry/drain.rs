use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http_body::Body;

/// The most frames that are read in one poll. Without a bound, a body that is always ready would
/// keep other tasks, and its own timer, from being polled.
const FRAMES_AT_ONCE: usize = 32;

/// The bounds within which a response that is not returned is read.
///
/// An HTTP/1.1 connection can be used again only after the response was read to its end. Otherwise
/// it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl Drain {
    /// A new connection is cheaper than a body beyond these bounds.
    pub(super) const DEFAULT: Self = Self {
        bytes: 256 * 1024,
        time: Duration::from_millis(250),
    };

    /// Returns whether `body` may end within these bounds, by its own size hint.
    ///
    /// With no bytes or no time it never may: a body that has not ended has at least one frame to
    /// come.
    pub(super) fn is_useful(&self, body: &impl Body) -> bool {
        let may_read = self.bytes > 0 && !self.time.is_zero();
        may_read && !body.is_end_stream() && body.size_hint().lower() <= self.bytes as u64
    }
}

/// Reads `body` until it has ended or failed, or until `left` bytes are read. An empty frame counts
/// as one byte, so that endless empty frames are bounded too.
///
/// After [`FRAMES_AT_ONCE`] frames it wakes its task and is pending, so that timers are polled.
pub(super) fn poll_drained<C: Body>(
    mut body: Pin<&mut C>,
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..FRAMES_AT_ONCE {
        let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(cx)) else {
            return Poll::Ready(());
        };
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        match left.checked_sub(bytes.max(1)) {
            Some(rest) => *left = rest,
            None => return Poll::Ready(()),
        }
        if body.is_end_stream() {
            return Poll::Ready(());
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::task::Waker;

    use bytes::Bytes;
    use http_body::Frame;
    use tokio_test::{assert_pending, task};

    use super::*;

    /// An endless body: the bytes of each frame, and the number of frames that were read.
    struct Endless(usize, usize);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.1 += 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.0])))))
        }
    }

    #[test]
    fn an_endless_body_is_read_up_to_the_bound() {
        fn check(size: usize, mut left: usize, frames: usize) {
            let mut body = Endless(size, 0);
            let mut cx = Context::from_waker(Waker::noop());
            while poll_drained(Pin::new(&mut body), &mut left, &mut cx).is_pending() {}
            assert_eq!(body.1, frames, "{size} bytes a frame");
        }
        check(10, 100, 11);
        check(10, 99, 10);
        check(0, 100, 101);
        check(1_000, 0, 1);
    }

    #[test]
    fn a_body_that_is_always_ready_lets_other_tasks_run() {
        let (mut body, mut left) = (Endless(1, 0), usize::MAX);
        let drain = poll_fn(|cx| poll_drained(Pin::new(&mut body), &mut left, cx));
        let mut drained = task::spawn(drain);
        assert_pending!(drained.poll());
        assert!(drained.is_woken());
        drop(drained);
        assert_eq!(body.1, FRAMES_AT_ONCE);
    }

    #[test]
    fn a_body_that_is_too_long_by_its_size_hint_or_has_ended_is_not_read() {
        fn check(length: usize, bytes: usize, millis: u64, expected: bool) {
            let time = Duration::from_millis(millis);
            let body = "x".repeat(length);
            assert_eq!(Drain { bytes, time }.is_useful(&body), expected);
        }
        check(10, 10, 1, true);
        check(11, 10, 1, false);
        check(0, 10, 1, false);
        check(10, 10, 0, false);
        check(0, 0, 1, false);
    }

    #[test]
    fn without_bytes_or_without_time_a_body_of_unknown_length_is_not_read() {
        for (bytes, millis, expected) in [(1, 1, true), (0, 1, false), (1, 0, false), (0, 0, false)]
        {
            let time = Duration::from_millis(millis);
            assert_eq!(Drain { bytes, time }.is_useful(&Endless(1, 0)), expected);
        }
    }
}
