use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

use crate::InvalidInput;
use crate::error::Problem;

/// Certificates of authorities that a client trusts, such as a company's own.
///
/// Pass them to [`ClientBuilder::extra_roots`](super::ClientBuilder::extra_roots) or
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
    /// Reads all certificates of a PEM text, such as the content of a file. Other text is skipped.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one is not that of an authority. The error names its number,
    /// from 1.
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
                "have no certificate; give PEM with at least one `-----BEGIN CERTIFICATE-----`",
            ));
        }
        Ok(Self(certificates))
    }

    /// Reads one certificate in DER format.
    ///
    /// # Errors
    ///
    /// It is not the certificate of an authority.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, InvalidInput> {
        Ok(Self(vec![checked(der.into().into(), 1)?]))
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        for certificate in &self.0 {
            let added = store.add(certificate.clone());
            added.expect("each certificate was checked");
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
    let why = "is not the X.509 certificate of an authority; \
               give that of the root, complete and unchanged";
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

/// The certificate authorities that a client trusts.
#[derive(Clone, Debug, Default)]
pub(super) enum Roots {
    #[default]
    Platform,
    PlatformAnd(RootCertificates),
    Only(RootCertificates),
}

impl Roots {
    /// Returns the TLS configuration. It names its crypto provider, since the default provider is
    /// global and belongs to the program.
    pub(super) fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::Platform => builder.with_platform_verifier()?,
            Self::PlatformAnd(extra) => {
                let verifier = Verifier::new_with_extra_roots(extra.0.clone(), provider)?;
                // "Dangerous" because rustls cannot check a custom verifier; this one is the
                // platform's.
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
    fn every_certificate_of_a_text_is_read_or_named_in_the_error() {
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
    fn every_kind_of_roots_gives_a_tls_configuration() {
        let roots = RootCertificates::from_pem(ROOT.as_bytes()).unwrap();
        assert!(Roots::PlatformAnd(roots.clone()).tls().is_ok());
        assert!(Roots::Only(roots).tls().is_ok());
    }
}
