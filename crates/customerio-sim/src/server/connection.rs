use std::io;

use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::http::{SLOWEST_REQUEST, is_dropped};
use crate::simulator::Simulator;

/// Serves one connection until it ends, on a socket as well as on a pipe in memory.
///
/// A client that closes its side or goes away does not call its request back: it still reaches the
/// counter and takes effect, as on a real network. A connection that the weather drops is closed
/// without a byte of an answer. One that is idle, or whose request is not whole, is closed after
/// five minutes. Dropping the future closes the connection.
///
/// # Example: without a socket
///
/// ```
/// use customerio_sim::{Simulator, serve_connection};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let simulator = Simulator::builder().build();
/// let (mut near, far) = duplex(64 * 1024);
/// let client = async {
///     near.write_all(b"GET /_sim/books HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
///     let mut answer = String::new();
///     near.read_to_string(&mut answer).await?;
///     Ok::<_, std::io::Error>(answer)
/// };
/// let (answer, ()) = tokio::join!(client, serve_connection(far, simulator));
/// assert!(answer?.starts_with("HTTP/1.1 200 OK"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub async fn serve_connection<I>(io: I, simulator: Simulator)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let router = simulator.router();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = router.clone().oneshot(request);
        async move {
            answer
                .await
                .map_err(|never| match never {})
                .and_then(delivered)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Some(SLOWEST_REQUEST))
        .auto_date_header(false)
        .half_close(true);
    // How a connection ends is up to the client and the weather; neither is an error of the server.
    let _ended = http.serve_connection(TokioIo::new(io), service).await;
}

/// An error instead of a response makes hyper close the connection at once.
fn delivered(response: Response) -> io::Result<Response> {
    if is_dropped(&response) {
        Err(io::ErrorKind::ConnectionReset.into())
    } else {
        Ok(response)
    }
}
