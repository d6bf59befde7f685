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
use super::attempt::BoxError;
use super::progress::RequestProgress;
use super::proxy::Route;
use super::receive_limit::ReceiveLimited;
use super::roots::Roots;
use super::stack::{Layers, Stacks};
use crate::base_url::BaseUrl;

/// The default idle time before a TCP keep-alive probe. Many firewalls and load balancers drop a
/// connection that is idle for longer.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// The default interval of HTTP/2 pings. A dead connection is found after twice this time, before
/// the 60 s after which load balancers drop idle ones. A shorter interval may count as abuse: some
/// servers allow one ping in ten seconds.
const PING: Duration = Duration::from_secs(20);

/// The settings of connections.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// `None` means half of the attempt's timeout.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    /// The time without a frame before HTTP/2 pings, and the time to wait for the answer.
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
    /// Returns the layers over a hyper client for `to`. A runtime is needed on use, not here.
    pub(super) fn stacks(&self, layers: &Layers, to: &BaseUrl) -> Result<Stacks, BuildError> {
        let time = self.connect_timeout.unwrap_or(layers.timeout / 2);
        let tcp = self.tcp(time);
        // Plain http goes to the loopback only, and never through a proxy.
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
        // The TLS connector around this one passes https URLs.
        connector.enforce_http(false);
        // A request is written in few large pieces; waiting for more would only delay it.
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
) -> CaptureConnections<Client<LimitedConnector<C>, Full<Bytes>>>
where
    LimitedConnector<C>: Connect + Clone,
{
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(ping)
        // The next request would otherwise be the first to notice a dead connection.
        .http2_keep_alive_while_idle(true);
    if let Some(ping) = ping {
        builder.http2_keep_alive_timeout(ping);
    }
    CaptureConnections(builder.build(LimitedConnector {
        inner: connector,
        time,
    }))
}

/// A service that stores in the [`RequestProgress`] whether hyper's client has a connection for the
/// request, new or pooled. Before it has one, nothing of the request was sent.
#[derive(Clone, Debug)]
struct CaptureConnections<S>(S);

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for CaptureConnections<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> S::Future {
        let connection = capture_connection(&mut request);
        if let Some(progress) = request.extensions().get::<RequestProgress>() {
            progress.watch_connection(connection);
        }
        self.0.call(request)
    }
}

/// A connector with a timeout over TCP, the proxy and the TLS handshake, whose connections bound
/// the bytes that they receive.
///
/// hyper's own connect timeout covers TCP only. The rest would end with the attempt's timeout,
/// which leaves open whether the request was sent.
#[derive(Clone, Debug)]
struct LimitedConnector<C> {
    inner: C,
    time: Duration,
}

impl<C> Service<Uri> for LimitedConnector<C>
where
    C: Service<Uri, Error: Into<BoxError>>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<ReceiveLimited<C::Response>>;
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
            Ok(TokioIo::new(ReceiveLimited::new(connected)))
        })
    }
}

#[derive(Debug)]
struct NotConnected;

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long; check the network, or raise `connect_timeout`")
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
    async fn an_unfinished_handshake_proves_that_nothing_was_sent() {
        let stuck = service_fn(|_: Uri| std::future::pending::<io::Result<TokioIo<TcpStream>>>());
        let client = hyper_client(stuck, Duration::from_secs(5), None);
        let request = Request::get("http://localhost/").body(Full::default());
        let error = client.0.request(request.unwrap()).await.unwrap_err();
        assert!(error.is_connect() && !was_sent(&error), "{error:?}");
    }
}
