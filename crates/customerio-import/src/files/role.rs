use std::fmt;

/// What a file is to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Input,
    Journal,
    Rejects,
    Report,
    StandardError,
    StandardOutput,
}

// === impl Role ===

impl Role {
    /// Returns what names another file for this role.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Journal => "--journal",
            Self::Rejects => "--rejects",
            Self::Report => "--report",
            Self::Input | Self::StandardError | Self::StandardOutput => "a redirection",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "the input",
            Self::Journal => "the journal",
            Self::Rejects => "the rejects file",
            Self::Report => "the report",
            Self::StandardError => "the standard error",
            Self::StandardOutput => "the standard output",
        })
    }
}
