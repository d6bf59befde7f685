use std::error::Error;
use std::fmt;

/// The error of a [`ReplayBody`](super::ReplayBody).
#[derive(Debug)]
pub struct ReplayError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The body of the request failed.
    Body(Box<dyn Error + Send + Sync>),
    /// A later reader has taken over the body.
    Superseded,
    /// The frames that this reader needs were read by another reader, and are not kept.
    Lost,
}

impl ReplayError {
    pub(super) fn body(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: Kind::Body(error.into()),
        }
    }

    pub(super) const fn superseded() -> Self {
        Self {
            kind: Kind::Superseded,
        }
    }

    pub(super) const fn lost() -> Self {
        Self { kind: Kind::Lost }
    }

    /// Returns whether a later attempt, or a later clone, has taken over the body. The current
    /// attempt was answered before it had read all of the body.
    #[must_use]
    pub const fn is_superseded(&self) -> bool {
        matches!(self.kind, Kind::Superseded)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Body(_) => "the body of the request failed",
            Kind::Superseded => "a later attempt has taken the body over",
            Kind::Lost => "the start of the body is no longer kept",
        })
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Body(error) => Some(&**error),
            Kind::Superseded | Kind::Lost => None,
        }
    }
}
