use std::{error, fmt};

use http::StatusCode;

use super::SignatureError;

/// The reason why [`VerifyLayer`](super::VerifyLayer) rejected a request.
///
/// It is in the extensions of the response, so that a layer outside can log it. The text contains
/// no key, no signature and no part of the body. The exact text may change in any release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Signature(SignatureError),
    TooLarge { max_body: usize },
    Incomplete,
}

impl Rejection {
    pub(super) const fn too_large(max_body: usize) -> Self {
        Self(Kind::TooLarge { max_body })
    }

    pub(super) const fn incomplete() -> Self {
        Self(Kind::Incomplete)
    }

    /// Returns the status of the response: 400, 401 or 413.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match &self.0 {
            Kind::Signature(error) if error.is_malformed() => StatusCode::BAD_REQUEST,
            Kind::Signature(_) => StatusCode::UNAUTHORIZED,
            Kind::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Incomplete => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the error of the signature, if it is the reason.
    #[must_use]
    pub const fn signature_error(&self) -> Option<&SignatureError> {
        match &self.0 {
            Kind::Signature(error) => Some(error),
            Kind::TooLarge { .. } | Kind::Incomplete => None,
        }
    }

    /// Returns whether the body exceeds [`max_body`](super::VerifyLayer::max_body).
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::TooLarge { .. })
    }

    /// Returns whether the body did not arrive as a whole.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        matches!(self.0, Kind::Incomplete)
    }
}

impl From<SignatureError> for Rejection {
    fn from(error: SignatureError) -> Self {
        Self(Kind::Signature(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Signature(error) => error.fmt(f),
            Kind::TooLarge { max_body } => write!(
                f,
                "the body of the webhook exceeds {max_body} bytes; raise `max_body`, or let the \
                 webhook report no content"
            ),
            Kind::Incomplete => f.write_str(
                "the body of the webhook did not arrive as a whole; if this repeats, check the \
                 proxies before this server",
            ),
        }
    }
}

impl error::Error for Rejection {}
