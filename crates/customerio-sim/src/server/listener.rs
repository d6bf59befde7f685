use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{JoinHandle, JoinSet};

use super::connection::serve_connection;
use crate::simulator::Simulator;

/// A simulator on a TCP socket. Dropping it stops it and closes its connections.
///
/// It spawns a task for itself and one for each connection. It serves at most 512 connections at a
/// time; further ones wait in the listener's backlog.
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on `addr` and serves `simulator` there. Port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// If the address is invalid or in use.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    pub async fn bind(addr: impl ToSocketAddrs, simulator: Simulator) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            local_addr,
            task: tokio::spawn(serve(listener, simulator)),
        })
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr)
    }

    /// Stops the server, and waits until its connections are closed and its port is free.
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
            // Ended connections first: each makes room for another, and their list stays short.
            biased;
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_stream(stream, simulator.clone()))),
                // The process is probably out of file descriptors. Without a pause this would spin
                // until a connection ends.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn serve_stream(stream: TcpStream, simulator: Simulator) {
    // A failure is ignored: it delays responses, and changes nothing else.
    let _late = stream.set_nodelay(true);
    serve_connection(stream, simulator).await;
}

/// Below the usual limit of 1,024 file descriptors for a process. More would let a client exhaust
/// them, and every `accept` would fail.
const MAX_CONNECTIONS: usize = 512;

/// Long enough not to use up a processor, short enough that a new client hardly notices it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
