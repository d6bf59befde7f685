use std::error::Error;
use std::io;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use rustls::CertificateError;
use tower::Service;

use crate::response::Kind;

/// hyper-util has no other name for it.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Returns what is known of a failure, so that its text can say what to do.
pub(super) fn kind(failure: &(dyn Error + 'static)) -> Kind {
    let mut next = Some(failure);
    while let Some(error) = next {
        if let Some(kind) = known(error) {
            return kind;
        }
        next = cause(error);
    }
    Kind::Failed
}

fn known(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(refused) = error.downcast_ref::<TunnelError>() {
        return Some(match refused {
            TunnelError::ProxyAuthRequired => Kind::ProxyCredentials,
            _ => Kind::NoTunnel,
        });
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(Kind::Untrusted),
        _ => None,
    }
}

/// The source of an I/O error is that of the error in it, which would be passed over.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    inner.map_or_else(|| error.source(), |inner| Some(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: impl Error + 'static, expected: Kind) {
        assert_eq!(kind(&failure), expected, "{failure:?}");
    }

    #[test]
    fn what_is_known_is_found_at_any_depth() {
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
