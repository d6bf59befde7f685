//! Serves a simulator over HTTP/1.1: on a socket, or on any pipe.

mod connection;
mod listener;

pub use connection::serve_connection;
pub use listener::Server;
