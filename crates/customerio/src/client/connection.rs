use std::time::Duration;

use super::ClientBuilder;
use super::proxy::{Proxy, Route};
use super::roots::{RootCertificates, Roots};

/// How connections are made. Nothing of it concerns a client of
/// [`build_with`](ClientBuilder::build_with).
impl ClientBuilder {
    /// Sets how long connecting may take, with a proxy's answer and the handshake of TLS; by
    /// default half of the attempt's timeout.
    ///
    /// Shorter than that it tells a host that cannot be reached, to which nothing was sent, from
    /// one that does not answer.
    pub fn connect_timeout(mut self, connecting: Duration) -> Self {
        self.transport.connect_timeout = Some(connecting);
        self
    }

    /// Sets after how long without traffic TCP asks whether the other side is still there; by
    /// default 60 s.
    ///
    /// The system rounds it down to seconds, of which it takes 1 to 32,767. `None` asks never: a
    /// machine between that forgets idle connections then costs an attempt whose fate is unknown.
    pub fn tcp_keepalive(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.transport.keepalive = idle.into();
        self
    }

    /// Sets after how long without a frame an HTTP/2 connection is pinged, idle or not, and how
    /// long the answer may take before it is closed; by default 20 s.
    ///
    /// `None` pings never: a connection that died unnoticed then costs the requests on it an
    /// attempt's timeout.
    pub fn http2_ping(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.transport.ping = silence.into();
        self
    }

    /// Sends through an HTTP proxy; by default connections go straight to the API.
    ///
    /// Plain HTTP, which goes to the loopback only, is spoken without it: the proxy would read the
    /// key.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.transport.route = Route::Through(proxy);
        self
    }

    /// Sends through the proxy that `HTTPS_PROXY` or `ALL_PROXY` names, unless `NO_PROXY` excepts
    /// the API's host; in lower case too, and read when the client is built.
    ///
    /// Exceptions are hosts with their subdomains, addresses, networks such as `10.0.0.0/8`, and
    /// `*`, with commas between. A proxy that cannot be used is an error of
    /// [`build`](ClientBuilder::build), and nothing is sent past it.
    pub fn proxy_from_env(mut self) -> Self {
        self.transport.route = Route::FromEnv;
        self
    }

    /// Trusts these authorities beside those of the platform; by default only the platform's.
    pub fn extra_roots(mut self, roots: RootCertificates) -> Self {
        self.transport.roots = Roots::PlatformAnd(roots);
        self
    }

    /// Trusts these authorities and no others, for a machine without any of its own.
    pub fn only_roots(mut self, roots: RootCertificates) -> Self {
        self.transport.roots = Roots::Only(roots);
        self
    }
}
