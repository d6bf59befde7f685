use std::time::Duration;
use std::{error, fmt};

/// The error of a request whose signature is not valid: which part is wrong.
///
/// The text contains no key, no signature and no part of the body. The exact text may change in any
/// release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureError(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Missing(&'static str),
    Repeated(&'static str),
    Malformed(&'static str),
    Mismatch { keys: usize },
    Stale { max_age: Duration },
}

impl SignatureError {
    pub(super) const fn missing(header: &'static str) -> Self {
        Self(Kind::Missing(header))
    }

    pub(super) const fn repeated(header: &'static str) -> Self {
        Self(Kind::Repeated(header))
    }

    pub(super) const fn malformed(header: &'static str) -> Self {
        Self(Kind::Malformed(header))
    }

    pub(super) const fn mismatch(keys: usize) -> Self {
        Self(Kind::Mismatch { keys })
    }

    pub(super) const fn stale(max_age: Duration) -> Self {
        Self(Kind::Stale { max_age })
    }

    /// Returns whether a header of the signature is absent: the request was not signed.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self.0, Kind::Missing(_))
    }

    /// Returns whether a header of the signature has another format, or is there more than once.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(self.0, Kind::Malformed(_) | Kind::Repeated(_))
    }

    /// Returns whether the signature is that of another key, timestamp or body.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self.0, Kind::Mismatch { .. })
    }

    /// Returns whether the signature is valid, and its timestamp is too far from the current time.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self.0, Kind::Stale { .. })
    }

    /// Returns the name of the header that is absent, repeated or malformed.
    #[must_use]
    pub const fn header(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Missing(header) | Kind::Repeated(header) | Kind::Malformed(header) => {
                Some(header)
            }
            Kind::Mismatch { .. } | Kind::Stale { .. } => None,
        }
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Missing(header) => write!(
                f,
                "the request has no header {header}; check that Customer.io sent it, and that no \
                 proxy removes the header"
            ),
            Kind::Repeated(header) => write!(
                f,
                "the request has more than one header {header}; check the proxies before this \
                 server"
            ),
            Kind::Malformed(header) => write!(
                f,
                "the header {header} has another format than Customer.io's; check that \
                 Customer.io sent the request"
            ),
            Kind::Mismatch { keys } => write!(
                f,
                "the signature matches no signing key ({keys} tried); check that the webhook's own \
                 key is among them, and that nothing changes the body before it is verified"
            ),
            Kind::Stale { max_age } => write!(
                f,
                "the signature is valid, and its timestamp is more than {} s from the current \
                 time; check the clock, or allow a greater age, since a retry may have the \
                 timestamp of the first attempt",
                max_age.as_secs()
            ),
        }
    }
}

impl error::Error for SignatureError {}
