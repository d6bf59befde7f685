//! Bounds the bytes that a server may send on a connection without being asked.
//!
//! hyper and h2 bound most of it. hyper bounds the head of an HTTP/1.1 response to 100
//! fields and about 400 KB. h2 bounds a list of fields to 16 KB, streams that it resets for errors
//! to 1,024, and reset streams that it keeps to 50. They do not bound interim responses (1xx), nor
//! frames without a stream (PING, SETTINGS, WINDOW_UPDATE). A server can send these forever; they
//! cost time and, since they are acknowledged, bandwidth.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes an idle connection may receive. Pings and settings take some hundred bytes while
/// a connection is pooled. The rest is for a response that arrives before its request is counted.
const IDLE: usize = 256 * 1024;

/// Counts the bytes received on a connection and the requests in flight on it. Clones share the
/// counts.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceiveLimit(Arc<Counts>);

/// The counts are relaxed: none guards other data. A stale one moves the bound by one response.
#[derive(Debug, Default)]
struct Counts {
    /// How many bytes the requests in flight may receive together.
    allowed: AtomicUsize,
    /// Bytes received since a request last began or ended.
    bytes: AtomicUsize,
}

impl ReceiveLimit {
    /// Counts a request on the connection until the guard is dropped. Its response has a body of at
    /// most `max_body` bytes; twice as many may arrive, with frames and interim responses.
    pub(super) fn count_request(&self, max_body: usize) -> CountedRequest {
        let allowed = 2 * max_body;
        self.0.allowed.fetch_add(allowed, Relaxed);
        // Counting starts again with each request, so that a connection may live forever.
        self.0.bytes.store(0, Relaxed);
        CountedRequest {
            limit: self.clone(),
            allowed,
        }
    }

    /// Counts received bytes. Returns an error if they are too many.
    fn record_received(&self, bytes: usize) -> io::Result<()> {
        let received = self.0.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let allowed = self.0.allowed.load(Relaxed);
        match received <= allowed.saturating_add(IDLE) {
            true => Ok(()),
            false => Err(io::Error::other(TooMuchReceived)),
        }
    }
}

/// A request in flight on a connection.
#[derive(Debug)]
pub(super) struct CountedRequest {
    limit: ReceiveLimit,
    allowed: usize,
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        let counts = &self.limit.0;
        counts.allowed.fetch_sub(self.allowed, Relaxed);
        counts.bytes.store(0, Relaxed);
    }
}

/// A connection that fails once it receives more than the limit.
#[derive(Debug)]
pub(super) struct ReceiveLimited<T> {
    io: TokioIo<T>,
    limit: ReceiveLimit,
}

impl<T> ReceiveLimited<T> {
    pub(super) fn new(io: T) -> Self {
        Self {
            io: TokioIo::new(io),
            limit: ReceiveLimit::default(),
        }
    }
}

impl<T: Connection> Connection for ReceiveLimited<T> {
    fn connected(&self) -> Connected {
        self.io.inner().connected().extra(self.limit.clone())
    }
}

impl<T> AsyncRead for ReceiveLimited<T>
where
    TokioIo<T>: AsyncRead + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        Poll::Ready(self.limit.record_received(buffer.filled().len() - before))
    }
}

impl<T> AsyncWrite for ReceiveLimited<T>
where
    TokioIo<T>: AsyncWrite + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[derive(Debug)]
struct TooMuchReceived;

impl fmt::Display for TooMuchReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sent more than it was asked for, so the connection was closed")
    }
}

impl std::error::Error for TooMuchReceived {}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BODY: usize = 1 << 20;
    const PER_REQUEST: usize = 2 * MAX_BODY;

    #[test]
    fn a_response_to_each_request_is_accepted_and_more_is_not() {
        let limit = ReceiveLimit::default();
        assert!(limit.record_received(IDLE).is_ok() && limit.record_received(1).is_err());
        let first = limit.count_request(MAX_BODY);
        assert!(limit.record_received(PER_REQUEST).is_ok() && limit.record_received(IDLE).is_ok());
        assert!(limit.record_received(1).is_err());
        let second = limit.count_request(MAX_BODY);
        assert!(limit.record_received(2 * PER_REQUEST).is_ok());
        drop((first, second));
        assert!(limit.record_received(IDLE).is_ok() && limit.record_received(1).is_err());
    }
}
