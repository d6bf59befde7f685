use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::Service;

use super::BuildError;
use super::exchange::BoxError;
use super::meter::Metered;
use super::proxy::Route;
use super::roots::Roots;
use super::stack::{Layers, Stack};
use super::trail::Trail;
use crate::Endpoint;

/// Keeps idle connections alive through machines that forget them.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Twice as long a silence shows that a connection of HTTP/2 is dead: about as long as the 60 s
/// after which load balancers forget idle ones. Servers that count pings as abuse allow one in ten
/// seconds and more.
const PING: Duration = Duration::from_secs(20);

/// How connections are made.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// Half of the attempt's timeout if it is not set.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    /// After how long without a frame HTTP/2 pings, and how long it waits for the answer then.
    pub(super) ping: Option<Duration>,
    pub(super) route: Route,
    pub(super) roots: Roots,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            connect_timeout: None,
            keepalive: Some(TCP_KEEPALIVE),
            ping: Some(PING),
            route: Route::default(),
            roots: Roots::default(),
        }
    }
}

impl Transport {
    /// Puts the layers over hyper's client. It needs a runtime when it is used, not before.
    pub(super) fn under(&self, layers: &Layers, to: &Endpoint) -> Result<Stack, BuildError> {
        let time = self.connect_timeout.unwrap_or(layers.timeout / 2);
        let tcp = self.tcp(time);
        if !to.is_https() {
            return Ok(layers.over(hyper_client(tcp, time, self.ping)));
        }
        let proxy = self.route.proxy(&to.uri("/"))?;
        Ok(match proxy {
            None => layers.over(hyper_client(self.tls(tcp)?, time, self.ping)),
            Some(proxy) => {
                let tunnel = self.tls(proxy.tunnel(tcp))?;
                layers.over(hyper_client(tunnel, time, self.ping))
            }
        })
    }

    fn tcp(&self, time: Duration) -> HttpConnector {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(self.keepalive);
        connector.set_connect_timeout(Some(time));
        connector
    }

    fn tls<C>(&self, connector: C) -> Result<HttpsConnector<C>, BuildError> {
        let config = self.roots.tls().map_err(BuildError::tls)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        let builder = builder.https_only().enable_all_versions();
        Ok(builder.wrap_connector(connector))
    }
}

fn hyper_client<C>(
    connector: C,
    time: Duration,
    ping: Option<Duration>,
) -> Watched<Client<Within<C>, Full<Bytes>>>
where
    Within<C>: Connect + Clone,
{
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(ping)
        .http2_keep_alive_while_idle(true);
    if let Some(ping) = ping {
        builder.http2_keep_alive_timeout(ping);
    }
    Watched(builder.build(Within {
        inner: connector,
        time,
    }))
}

/// Lets the trail of a request know whether hyper's client has a connection for it, new or pooled.
/// Before, it has handed the request to none.
#[derive(Clone, Debug)]
struct Watched<S>(S);

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Watched<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> S::Future {
        let connection = capture_connection(&mut request);
        if let Some(trail) = request.extensions().get::<Trail>() {
            trail.watch(connection);
        }
        self.0.call(request)
    }
}

/// Bounds all of connecting: TCP, a proxy's answer and the handshake of TLS; and what the
/// connection brings unasked.
///
/// Without it the last two would end with the attempt's timeout, which leaves open whether the
/// request had left.
#[derive(Clone, Debug)]
struct Within<C> {
    inner: C,
    time: Duration,
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error: Into<BoxError>>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Metered<C::Response>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = timeout(self.time, self.inner.call(to));
        Box::pin(async move {
            let connected = connecting.await.map_err(|_| NotConnected)?;
            let connected = connected.map_err(Into::into)?;
            Ok(TokioIo::new(Metered::new(connected)))
        })
    }
}

#[derive(Debug)]
struct NotConnected;

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl Error for NotConnected {}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::net::TcpStream;
    use tower::service_fn;
    use tower_pace::was_sent;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_does_not_end_proves_that_nothing_was_sent() {
        let stuck = service_fn(|_: Uri| std::future::pending::<io::Result<TokioIo<TcpStream>>>());
        let client = hyper_client(stuck, Duration::from_secs(5), None);
        let request = Request::get("http://localhost/").body(Full::default());
        let error = client.0.request(request.unwrap()).await.unwrap_err();
        assert!(error.is_connect() && !was_sent(&error), "{error:?}");
    }
}
