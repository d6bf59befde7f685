use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ConnectError;

/// Makes TLS connections to one host, with the certificate authorities of the platform.
pub(crate) struct Connector {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Connector {
    pub(crate) fn new(host: &str) -> Result<Self, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            ConnectError::argument("the URL of the store has a host that no certificate can have")
        })?;
        let config = config().map_err(|_| {
            ConnectError::argument(
                "the certificate authorities of the platform cannot be read; \
                 install them, as the package `ca-certificates` does",
            )
        })?;
        Ok(Self {
            name,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// Returns the TLS configuration. It names its crypto provider, since the default provider is
/// global and belongs to the program.
fn config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}
