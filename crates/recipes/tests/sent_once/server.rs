//! A server that reads each request to its end, counts it, and then breaks off as its path says.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use h2::Reason;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A reset with any other reason than `REFUSED_STREAM` proves nothing.
const REASONS: [Reason; 4] = [
    Reason::CANCEL,
    Reason::ENHANCE_YOUR_CALM,
    Reason::INTERNAL_ERROR,
    Reason::PROTOCOL_ERROR,
];

/// The number of requests by path.
type Counts = Arc<Mutex<HashMap<String, usize>>>;

pub(crate) struct Server {
    port: u16,
    counts: Counts,
}

impl Server {
    pub(crate) async fn http1() -> Self {
        Self::listen(|socket, counts| {
            tokio::spawn(serve_http1(socket, counts));
        })
        .await
    }

    pub(crate) async fn http2() -> Self {
        Self::listen(|socket, counts| {
            tokio::spawn(serve_http2(socket, counts));
        })
        .await
    }

    /// Every other connection ends with a TCP reset in place of a FIN.
    async fn listen(serve: fn(TcpStream, Counts)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Counts::default();
        let shared = Arc::clone(&counts);
        tokio::spawn(async move {
            for number in 0_usize.. {
                let (socket, _) = listener.accept().await.unwrap();
                if number % 2 == 0 {
                    socket.set_zero_linger().unwrap();
                }
                serve(socket, Arc::clone(&shared));
            }
        });
        Self { port, counts }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of requests with this path that were read to their end.
    pub(crate) fn requests(&self, path: &str) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.get(path).copied().unwrap_or_default()
    }
}

/// Returns the number of requests with this path, this one included.
fn count(counts: &Counts, path: &str) -> usize {
    let mut counts = counts.lock().unwrap();
    let count = counts.entry(path.into()).or_default();
    *count += 1;
    *count
}

/// Returns the seed of a path whose request is to be broken off.
fn seed(path: &str) -> Option<usize> {
    path.strip_prefix("/reset/")?.parse().ok()
}

/// Responds to one request, or with a part of the response's head, and closes the connection.
async fn serve_http1(mut socket: TcpStream, counts: Counts) -> io::Result<()> {
    let mut request = Vec::new();
    // The body is four bytes, in one chunk or with a length.
    while !request.windows(4).any(|bytes| bytes == b"once") {
        if socket.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    if request.windows(7).any(|bytes| bytes == b"chunked") {
        while !request.ends_with(b"0\r\n\r\n") {
            socket.read_buf(&mut request).await?;
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap();
    count(&counts, path);
    // The whole head would be a response.
    let length = seed(path).map_or(RESPONSE.len(), |seed| seed % (RESPONSE.len() - 1));
    socket.write_all(&RESPONSE[..length]).await
}

enum End {
    Close,
    GoAway,
}

async fn serve_http2(socket: TcpStream, counts: Counts) {
    // A client may close the connection during the handshake.
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    let (end, mut ends) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::spawn(respond_http2(request, respond, Arc::clone(&counts), end.clone()));
                }
                _ => return,
            },
            Some(end) = ends.recv() => match end {
                End::Close => return,
                End::GoAway => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            },
        }
    }
}

async fn respond_http2(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    counts: Counts,
    end: mpsc::UnboundedSender<End>,
) {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.data().await {}
    let count = count(&counts, &path);
    if path == "/refuse" && count == 1 {
        return respond.send_reset(Reason::REFUSED_STREAM);
    }
    match seed(&path) {
        None => respond
            .send_response(Response::new(()), true)
            .map(drop)
            .unwrap(),
        // The receiver is gone if the client closed the connection.
        Some(seed) if seed % 3 == 0 => drop(end.send(End::Close)),
        Some(seed) if seed % 3 == 1 => drop(end.send(End::GoAway)),
        Some(seed) => respond.send_reset(REASONS[seed / 3 % REASONS.len()]),
    }
}
