use std::error::Error;
use std::io;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use rustls::CertificateError;
use tower::Service;

use crate::response::Kind;

/// The error of a tunnel. hyper-util exports no name for it.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Returns the kind of a failure, so that its message can say what to do next.
pub(super) fn classify(failure: &(dyn Error + 'static)) -> Kind {
    let mut next = Some(failure);
    while let Some(error) = next {
        if let Some(kind) = kind_of(error) {
            return kind;
        }
        next = source(error);
    }
    Kind::Failed
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(tunnel) = error.downcast_ref::<TunnelError>() {
        return Some(match tunnel {
            TunnelError::ProxyAuthRequired => Kind::ProxyCredentials,
            _ => Kind::NoTunnel,
        });
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(Kind::Untrusted),
        _ => None,
    }
}

/// Returns the next error of the chain. `io::Error::source` skips the error inside it, so that one
/// is returned first.
fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    inner.map_or_else(|| error.source(), |inner| Some(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: impl Error + 'static, expected: Kind) {
        assert_eq!(classify(&failure), expected, "{failure:?}");
    }

    #[test]
    fn known_errors_are_found_at_any_depth() {
        let of = |error| rustls::Error::InvalidCertificate(error);
        check(of(CertificateError::UnknownIssuer), Kind::Untrusted);
        let nested = io::Error::other(io::Error::other(of(CertificateError::UnknownIssuer)));
        check(nested, Kind::Untrusted);
        check(of(CertificateError::Expired), Kind::Failed);
        check(TunnelError::ProxyAuthRequired, Kind::ProxyCredentials);
        check(
            io::Error::other(TunnelError::TunnelUnsuccessful),
            Kind::NoTunnel,
        );
        check(
            io::Error::from(io::ErrorKind::ConnectionReset),
            Kind::Failed,
        );
    }
}
