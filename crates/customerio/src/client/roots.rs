use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

use crate::InvalidInput;
use crate::error::Problem;

/// Holds certificates of authorities that a client is to trust, such as that of a company's own.
///
/// Give them to [`ClientBuilder::extra_roots`](super::ClientBuilder::extra_roots) or
/// [`only_roots`](super::ClientBuilder::only_roots).
///
/// ```
/// use customerio::client::RootCertificates;
///
/// let error = RootCertificates::from_pem(b"no certificate").unwrap_err();
/// assert_eq!(error.field(), "root certificates");
/// ```
#[derive(Clone)]
pub struct RootCertificates(Vec<CertificateDer<'static>>);

impl RootCertificates {
    /// Takes all certificates of a PEM text, such as the content of a file; what else is in it is passed over.
    ///
    /// # Errors
    ///
    /// There is none, or one of them is no certificate of an authority; the error names it by its number, from 1.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidInput> {
        let sections = CertificateDer::pem_slice_iter(pem).enumerate();
        let certificates = sections.map(|(index, section)| match section {
            Ok(certificate) => checked(certificate, index + 1),
            Err(_) => Err(no_certificate(index + 1)),
        });
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err(InvalidInput::malformed(
                "root certificates",
                "are none; give PEM with at least one `-----BEGIN CERTIFICATE-----`",
            ));
        }
        Ok(Self(certificates))
    }

    /// Takes one certificate in DER form.
    ///
    /// # Errors
    ///
    /// It is no certificate of an authority.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, InvalidInput> {
        Ok(Self(vec![checked(der.into().into(), 1)?]))
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        for certificate in &self.0 {
            let added = store.add(certificate.clone());
            added.expect("a certificate is checked when it is taken");
        }
        store
    }
}

fn checked(
    certificate: CertificateDer<'static>,
    number: usize,
) -> Result<CertificateDer<'static>, InvalidInput> {
    match RootCertStore::empty().add(certificate.clone()) {
        Ok(()) => Ok(certificate),
        Err(_) => Err(no_certificate(number)),
    }
}

fn no_certificate(number: usize) -> InvalidInput {
    let why = "is no X.509 certificate of an authority; give that of the root, whole and unchanged";
    InvalidInput::new(
        format!("root certificate {number}"),
        Problem::Malformed(why),
    )
}

impl fmt::Debug for RootCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootCertificates({})", self.0.len())
    }
}

/// Whom to believe that a server is who it says.
#[derive(Clone, Debug, Default)]
pub(super) enum Roots {
    #[default]
    Platform,
    PlatformAnd(RootCertificates),
    Only(RootCertificates),
}

impl Roots {
    /// Returns a configuration for TLS, with the provider named instead of installed for the whole process.
    pub(super) fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::Platform => builder.with_platform_verifier()?,
            Self::PlatformAnd(extra) => {
                let verifier = Verifier::new_with_extra_roots(extra.0.clone(), provider)?;
                // It verifies as the platform's own does; rustls warns of any that is not its own.
                let builder = builder.dangerous();
                builder.with_custom_certificate_verifier(Arc::new(verifier))
            }
            Self::Only(roots) => builder.with_root_certificates(roots.store()),
        };
        Ok(builder.with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = include_str!("../../tests/it/data/tls/root.pem");

    fn check(pem: &str, expected: Result<usize, &str>) {
        let found = RootCertificates::from_pem(pem.as_bytes());
        let found = found.as_ref().map(|roots| roots.0.len());
        assert_eq!(found.map_err(InvalidInput::field), expected, "{pem}");
    }

    #[test]
    fn every_certificate_of_a_text_is_taken_or_named() {
        check(ROOT, Ok(1));
        check(&format!("# two\n{ROOT}\n{ROOT}"), Ok(2));
        check("", Err("root certificates"));
        check(
            &format!("{ROOT}{}", ROOT.replace("MIIB", "AAAA")),
            Err("root certificate 2"),
        );
        check(&ROOT.replace("MIIB", "!!!!"), Err("root certificate 1"));
    }

    #[test]
    fn der_is_a_certificate_or_an_error() {
        let roots = RootCertificates::from_pem(ROOT.as_bytes()).unwrap();
        assert!(RootCertificates::from_der(roots.0[0].to_vec()).is_ok());
        let error = RootCertificates::from_der(*b"no certificate").unwrap_err();
        assert_eq!(error.field(), "root certificate 1");
    }

    #[test]
    fn tls_is_set_up_with_every_kind_of_roots() {
        let roots = RootCertificates::from_pem(ROOT.as_bytes()).unwrap();
        assert!(Roots::PlatformAnd(roots.clone()).tls().is_ok());
        assert!(Roots::Only(roots).tls().is_ok());
    }
}
