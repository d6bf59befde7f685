use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http_body::Body;

/// How many frames are read before others get their turn.
const FRAMES_AT_ONCE: usize = 32;

/// How much of a response that is not returned is read, so that its connection can be used again.
///
/// HTTP/1.1 has to read an answer to its end before the next request, or to close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl Drain {
    /// Beyond this a new connection is cheaper than the rest of the body.
    pub(super) const DEFAULT: Self = Self {
        bytes: 256 * 1024,
        time: Duration::from_millis(250),
    };

    /// Whether it is of use to read `body`, as far as it says itself how long it is. Without bytes
    /// or without time it is not: a body that has not ended has at least a frame to come, which
    /// would be waited for and be one too many.
    pub(super) fn is_of_use(&self, body: &impl Body) -> bool {
        let may_read = self.bytes > 0 && !self.time.is_zero();
        may_read && !body.is_end_stream() && body.size_hint().lower() <= self.bytes as u64
    }
}

/// Reads `body` until it has ended or failed, or `left` bytes are used up. An empty frame uses up
/// one, lest there be no end.
///
/// A body that is always ready is left after a while, for whoever looks at the clock, and read on
/// in the next poll.
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

    /// Frames of so many bytes each, without end.
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
    fn a_body_without_end_is_read_up_to_the_bound() {
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
    fn a_body_that_is_always_ready_is_left_after_a_while() {
        let (mut body, mut left) = (Endless(1, 0), usize::MAX);
        let drain = poll_fn(|cx| poll_drained(Pin::new(&mut body), &mut left, cx));
        let mut drained = task::spawn(drain);
        assert_pending!(drained.poll());
        assert!(drained.is_woken());
        drop(drained);
        assert_eq!(body.1, FRAMES_AT_ONCE);
    }

    #[test]
    fn what_is_known_to_be_too_long_or_has_ended_is_not_read() {
        fn check(length: usize, bytes: usize, millis: u64, expected: bool) {
            let time = Duration::from_millis(millis);
            let body = "x".repeat(length);
            assert_eq!(Drain { bytes, time }.is_of_use(&body), expected);
        }
        check(10, 10, 1, true);
        check(11, 10, 1, false);
        check(0, 10, 1, false);
        check(10, 10, 0, false);
        check(0, 0, 1, false);
    }

    /// Its length is not known.
    #[test]
    fn without_bytes_or_without_time_nothing_is_read() {
        for (bytes, millis, expected) in [(1, 1, true), (0, 1, false), (1, 0, false), (0, 0, false)]
        {
            let time = Duration::from_millis(millis);
            assert_eq!(Drain { bytes, time }.is_of_use(&Endless(1, 0)), expected);
        }
    }
}
