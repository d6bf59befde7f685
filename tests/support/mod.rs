//! An in-memory network between a hyper client and a server. Without sockets, the whole stack runs
//! on paused time.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

/// An in-memory stream, one end of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An in-memory stream as a connection of hyper-util's client.
pub(crate) struct Pipe(TokioIo<Box<dyn Stream>>);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects to the server that it was made for, and ignores the address.
#[derive(Clone)]
pub(crate) struct Dial(Arc<dyn Fn() -> io::Result<Box<dyn Stream>> + Send + Sync>);

impl Dial {
    pub(crate) fn new<T: Stream + 'static>(
        dial: impl Fn() -> io::Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || Ok(Box::new(dial()?))))
    }

    pub(crate) fn dial(&self) -> io::Result<Box<dyn Stream>> {
        (self.0)()
    }
}

impl Service<Uri> for Dial {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Ready<io::Result<Pipe>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.dial().map(|stream| Pipe(TokioIo::new(stream))))
    }
}

/// A hyper client on the in-memory network.
pub(crate) type HyperClient = Client<Dial, Full<Bytes>>;

/// Returns a hyper-util client that connects by `dial`. Its timers are tokio's, so that they follow
/// paused time.
pub(crate) fn client(dial: Dial) -> HyperClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(dial)
}

/// Returns the time of the test's paused clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the clock that it drives"
)]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
