use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;

/// Keeps idle connections alive through machines that forget them.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Returns a client over `connector`. It needs a runtime when it is used, not before.
pub(super) fn hyper_client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Connects in the clear; the endpoint has checked that this goes to the loopback only.
pub(super) fn http(connect_timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(TCP_KEEPALIVE));
    connector.set_connect_timeout(Some(connect_timeout));
    connector
}

/// Connects by TLS only, with the provider named instead of installed for the whole process.
pub(super) fn https(connect_timeout: Duration) -> io::Result<HttpsConnector<HttpConnector>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_platform_verifier(provider)?
        .https_only()
        .enable_all_versions()
        .wrap_connector(http(connect_timeout));
    Ok(connector)
}
