use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{JoinHandle, JoinSet};

use super::connection::serve_connection;
use crate::simulator::Simulator;

/// A simulator on a real socket. Dropping it stops it and closes its connections.
///
/// It spawns one task for itself and one for each connection, of which it holds at most 512 at a time; more wait in the
/// listener's queue.
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on `addr`, where port 0 means any free port, and serves `simulator` there.
    ///
    /// # Errors
    ///
    /// When the address is invalid or taken.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind(addr: impl ToSocketAddrs, simulator: Simulator) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            local_addr,
            task: tokio::spawn(serve(listener, simulator)),
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The URL of its root, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr)
    }

    /// Stops it and waits until its connections are closed and its port is free.
    pub async fn shutdown(mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, simulator: Simulator) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_stream(stream, simulator.clone()))),
                // Mostly out of file descriptors: give connections a moment to end instead of spinning.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn serve_stream(stream: TcpStream, simulator: Simulator) {
    // Best effort: without it answers are late, not wrong.
    let _late = stream.set_nodelay(true);
    serve_connection(stream, simulator).await;
}

const MAX_CONNECTIONS: usize = 512;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
