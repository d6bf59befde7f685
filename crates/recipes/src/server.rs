//! Servers on free ports of the loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Serves `app` over HTTP/1.1 and HTTP/2, without TLS. Returns its URL.
///
/// # Panics
///
/// If no port is free.
pub async fn serve(app: Router) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_connection(stream, app.clone()));
        }
    });
    format!("http://{address}")
}

/// Serves an app whose first response is a 503, and which then echoes each body. Returns its URL.
///
/// # Panics
///
/// If no port is free.
pub async fn serve_echo_after_503() -> String {
    serve_after(StatusCode::SERVICE_UNAVAILABLE, IntoResponse::into_response).await
}

/// Serves an app that never responds. Returns its URL.
///
/// # Panics
///
/// If no port is free.
pub async fn serve_no_response() -> String {
    serve(Router::new().fallback(any(std::future::pending::<Response>))).await
}

/// Serves a Kubernetes API whose first response is a 429, and which then has one `ConfigMap` under
/// every path. Returns its URL.
///
/// # Panics
///
/// If no port is free.
pub async fn serve_config_map_after_429() -> String {
    let config_map = |_| {
        let metadata = json!({ "name": "settings" });
        let data = json!({ "plan": "pro" });
        Json(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data,
        }))
        .into_response()
    };
    serve_after(StatusCode::TOO_MANY_REQUESTS, config_map).await
}

/// Serves an app that responds to the first request with `first`, and to each later one by its
/// body.
async fn serve_after(first: StatusCode, later: fn(Bytes) -> Response) -> String {
    let requests = Arc::new(AtomicUsize::new(0));
    serve(Router::new().fallback(any(move |body: Bytes| {
        let is_first = requests.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            match is_first {
                true => ([("retry-after", "1")], first).into_response(),
                false => later(body),
            }
        }
    })))
    .await
}

async fn serve_connection(stream: TcpStream, app: Router) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    let service = TowerToHyperService::new(app);
    // The client closes the connection at any point once it has its response.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("the loopback has a free port");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    (listener, address)
}

/// A network between a client and a server, whose connections die without a word, as behind a
/// firewall that forgot them.
#[derive(Debug)]
pub struct Network {
    url: String,
    connections: Arc<AtomicUsize>,
    /// The connections with a lower number are dead.
    dead: watch::Sender<usize>,
}

impl Network {
    /// Returns a network to the server at `url`.
    ///
    /// # Panics
    ///
    /// If `url` has no address, or no port is free.
    pub async fn to(url: &str) -> Self {
        let server: SocketAddr = url
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let (listener, address) = listen().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let (dead, alive_from) = watch::channel(0);
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(near, server, alive_from.clone(), number));
            }
        });
        Self {
            url: format!("http://{address}"),
            connections,
            dead,
        }
    }

    /// Returns the URL by which clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Forwards no further byte on the connections so far, and closes none of them.
    pub fn forget_connections(&self) {
        self.dead.send_replace(self.connections());
    }
}

/// Forwards bytes both ways until connection `number` is dead. Then it keeps the sockets.
async fn forward(
    near: TcpStream,
    server: SocketAddr,
    mut alive_from: watch::Receiver<usize>,
    number: usize,
) {
    let Ok(far) = TcpStream::connect(server).await else {
        return;
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let ends = {
        let there = copy(near_in, far_out, alive_from.clone(), number);
        let back = copy(far_in, near_out, alive_from.clone(), number);
        tokio::join!(there, back)
    };
    // The sender lives as long as the network.
    let _ = alive_from.wait_for(|_| false).await;
    drop(ends);
}

/// Copies until the end or the death of the connection. Returns both halves, so that neither is
/// closed.
async fn copy<R, W>(
    mut from: R,
    mut to: W,
    mut alive_from: watch::Receiver<usize>,
    number: usize,
) -> (R, W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = [0; 4096];
    loop {
        let read = tokio::select! {
            biased;
            _ = alive_from.wait_for(|alive_from| number < *alive_from) => return (from, to),
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return (from, to);
        }
    }
}
