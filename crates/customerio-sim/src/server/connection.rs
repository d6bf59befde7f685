use std::io;

use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::http::{REQUEST_TIMEOUT, is_dropped};
use crate::simulator::Simulator;

/// Serves HTTP/1.1 on one connection until it ends. `io` is a socket, or an in-memory pipe.
///
/// A client that closes its side does not cancel its request: the request still reaches the counter
/// and is applied, as on a real network. A connection that a fault resets is closed without a byte
/// of a response. A connection that is idle, or whose request stays incomplete, is closed after
/// five minutes.
///
/// Dropping the future closes the connection and cancels the requests on it.
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
///     let request = "GET /_sim/totals HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
///     near.write_all(request.as_bytes()).await?;
///     let mut response = String::new();
///     near.read_to_string(&mut response).await?;
///     Ok::<_, std::io::Error>(response)
/// };
/// let (response, ()) = tokio::join!(client, serve_connection(far, simulator));
/// assert!(response?.starts_with("HTTP/1.1 200 OK"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub async fn serve_connection<I>(io: I, simulator: Simulator)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let router = simulator.router();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let response = router.clone().oneshot(request);
        async move {
            response
                .await
                .map_err(|never| match never {})
                .and_then(unless_dropped)
        }
    });
    let mut http = http1::Builder::new();
    // The timer makes the timeout below work. The response has a `Date` of the simulator's clock,
    // so hyper must not add one. Without `half_close`, hyper cancels a request once its client
    // closes its side, and the request would never reach the counter.
    http.timer(TokioTimer::new())
        .header_read_timeout(Some(REQUEST_TIMEOUT))
        .auto_date_header(false)
        .half_close(true);
    // The client or a fault ends the connection. Neither is an error of the server.
    let _ended = http.serve_connection(TokioIo::new(io), service).await;
}

/// Returns an error in place of a marked response: it makes hyper close the connection at once.
fn unless_dropped(response: Response) -> io::Result<Response> {
    if is_dropped(&response) {
        Err(io::ErrorKind::ConnectionReset.into())
    } else {
        Ok(response)
    }
}
