//! The client over hyper on both sides of a connection in memory, on virtual time.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use customerio::{Attributes, Client};
use http::{Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::service_fn;

use crate::scripted_service::builder;
use crate::support::person;

/// One end of a pipe, as hyper wants it.
struct Pipe(TokioIo<DuplexStream>);

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

/// The behavior of the connection with this number, counted from 0.
type Fate = fn(usize) -> Connect;

#[derive(Clone, Copy)]
enum Connect {
    /// Answers every request.
    Serve,
    /// Reads some of the request, answers with these bytes and closes.
    Raw(&'static str),
    Refuse,
}

/// Returns a client over hyper, and the count of its connections.
fn piped(fate: Fate) -> (Client, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let connector = service_fn(move |_: Uri| ready(connect(fate(counted.fetch_add(1, Relaxed)))));
    let hyper = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build::<_, Full<Bytes>>(connector);
    let client = builder()
        .base_url("http://localhost")
        .build_with(hyper)
        .unwrap();
    (client, count)
}

fn connect(fate: Connect) -> io::Result<Pipe> {
    let (ours, theirs) = duplex(64 * 1024);
    match fate {
        Connect::Serve => drop(tokio::spawn(serve(theirs))),
        Connect::Raw(answer) => drop(tokio::spawn(raw(theirs, answer))),
        Connect::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
    }
    Ok(Pipe(TokioIo::new(ours)))
}

async fn serve(stream: DuplexStream) {
    let answer = hyper::service::service_fn(|request: http::Request<Incoming>| async {
        let declared = request.headers()["content-length"].clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(declared, body.len().to_string());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
    });
    // A client that hangs up is no failure of the test.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn raw(mut stream: DuplexStream, answer: &str) {
    let mut request = [0; 4 * 1024];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn identify(client: &Client) -> Result<(), customerio::client::Error> {
    client.identify(&person("u1"), &Attributes::new()).await
}

#[tokio::test(start_paused = true)]
async fn requests_reuse_one_connection() {
    let (client, connections) = piped(|_| Connect::Serve);
    for _ in 0..3 {
        identify(&client).await.unwrap();
    }
    assert_eq!((connections.load(Relaxed), client.stats().requests), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_failed_attempt() {
    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{";
    let (client, connections) = piped(|number| match number {
        0 => Connect::Raw(HALF),
        _ => Connect::Serve,
    });
    identify(&client).await.unwrap();
    assert_eq!((connections.load(Relaxed), client.stats().retries), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_unknown_if_the_connection_closes_without_a_response() {
    let (client, _) = piped(|_| Connect::Raw(""));
    let error = identify(&client).await.unwrap_err();
    assert!(error.may_have_been_applied());
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let (client, _) = piped(|_| Connect::Refuse);
    let error = identify(&client).await.unwrap_err();
    assert!(!error.may_have_been_applied());
    assert!(
        client.stats().retries > 0,
        "what was not sent may be sent again"
    );
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_unknown_if_connecting_fails_after_a_lost_request() {
    let (client, _) = piped(|number| match number {
        0 => Connect::Raw(""),
        _ => Connect::Refuse,
    });
    assert!(identify(&client).await.unwrap_err().may_have_been_applied());
}
