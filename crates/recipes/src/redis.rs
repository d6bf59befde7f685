//! A Redis server for a recipe.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

/// A server on a free port of the loopback, which keeps nothing on disk. Its drop ends it.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts a server. Returns none if `redis-server` is not installed.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI_REQUIRES_REDIS` is 1.
    #[must_use]
    pub fn start() -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let started = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            let is_required = env::var_os("CI_REQUIRES_REDIS").is_some_and(|value| value == "1");
            assert!(!is_required, "redis-server is not installed");
            return None;
        };
        let redis = Self { process, port };
        // It listens within milliseconds; a busy machine may take seconds.
        let is_up = (0..1_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        assert!(is_up, "redis-server does not listen on port {port}");
        Some(redis)
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
