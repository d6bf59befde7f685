//! Bounds what a server may send on a connection without being asked.
//!
//! Of themselves the libraries bound much of it: hyper a head of HTTP/1.1 to 100 fields and about
//! 400 KB, h2 a list of fields to 16 KB with its CONTINUATION frames, streams that it resets for
//! errors to 1,024 and those that it keeps reset to 50. They bound neither interim answers (1xx)
//! nor frames that concern no stream (PING, SETTINGS, WINDOW_UPDATE), which cost time and,
//! answered, bandwidth for as long as the server likes.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an idle connection may bring: pings and settings take some hundred bytes in the time that
/// it is kept, and an answer may overtake the note that a request is on its way.
const IDLE: usize = 256 * 1024;
/// What each request on its way may bring beyond that: twice the largest answer that is read.
const FOR_EACH: usize = 2 * 1024 * 1024;

/// Counts what a connection brings, and the requests that are on it. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

/// Each number stands for itself: one that is a moment old moves the bound by an answer.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    /// Bytes since a request began or ended.
    bytes: AtomicUsize,
}

impl Meter {
    /// Notes that a request is on the connection, until the guard is dropped.
    pub(super) fn begin(&self) -> OnConnection {
        self.0.requests.fetch_add(1, Relaxed);
        self.0.bytes.store(0, Relaxed);
        OnConnection(self.clone())
    }

    fn read(&self, bytes: usize) -> io::Result<()> {
        let read = self.0.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let requests = self.0.requests.load(Relaxed);
        match read <= requests.saturating_mul(FOR_EACH).saturating_add(IDLE) {
            true => Ok(()),
            false => Err(io::Error::other(Flood)),
        }
    }
}

/// A request that is on a connection.
#[derive(Debug)]
pub(super) struct OnConnection(Meter);

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Relaxed);
        self.0.0.bytes.store(0, Relaxed);
    }
}

/// A connection that ends once it brings more than it may.
#[derive(Debug)]
pub(super) struct Metered<T> {
    io: TokioIo<T>,
    meter: Meter,
}

impl<T> Metered<T> {
    pub(super) fn new(io: T) -> Self {
        Self {
            io: TokioIo::new(io),
            meter: Meter::default(),
        }
    }
}

impl<T: Connection> Connection for Metered<T> {
    fn connected(&self) -> Connected {
        self.io.inner().connected().extra(self.meter.clone())
    }
}

impl<T> AsyncRead for Metered<T>
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
        Poll::Ready(self.meter.read(buffer.filled().len() - before))
    }
}

impl<T> AsyncWrite for Metered<T>
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
struct Flood;

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sent more than it was asked for")
    }
}

impl std::error::Error for Flood {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_for_each_request_is_fine_and_a_flood_is_none() {
        let meter = Meter::default();
        assert!(meter.read(IDLE).is_ok() && meter.read(1).is_err());
        let first = meter.begin();
        assert!(meter.read(FOR_EACH).is_ok() && meter.read(IDLE).is_ok());
        assert!(meter.read(1).is_err());
        let second = meter.begin();
        assert!(meter.read(2 * FOR_EACH).is_ok());
        drop((first, second));
        assert!(meter.read(IDLE).is_ok() && meter.read(1).is_err());
    }
}
