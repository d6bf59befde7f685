//! How a run ended, as the shell sees it.

use std::process::ExitCode;

/// The exit codes of `cio-import`. Code 2, wrong usage, is given by the parser of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every record was accepted.
    Complete = 0,
    /// The file, the mapping or the settings cannot be used; nothing was sent.
    Unusable = 1,
    /// Every record was dealt with, but some were rejected or are unknown.
    Incomplete = 3,
    /// The API refused the credentials; the rest was not sent.
    Refused = 4,
    /// The run was stopped before its end.
    Stopped = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
