use std::{error, fmt};

use crate::Operation;

/// Hands back an operation that a packer did not take.
pub struct NotQueued<T> {
    pub(super) operation: Operation,
    pub(super) tag: T,
    pub(super) reason: Reason,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Full,
    Stopped,
}

impl<T> NotQueued<T> {
    /// Returns whether the packer is full: send and settle first.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reason == Reason::Full
    }

    /// Returns whether an earlier operation of the lane ended unknown, so that this one is not to be sent.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.reason == Reason::Stopped
    }

    /// Returns the operation and its tag.
    #[must_use]
    pub fn into_parts(self) -> (Operation, T) {
        (self.operation, self.tag)
    }
}

impl<T> fmt::Display for NotQueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Full => "the packer is full; send and settle first",
            Reason::Stopped => "an earlier operation about the same person ended unknown",
        })
    }
}

impl<T> fmt::Debug for NotQueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotQueued({:?})", self.reason)
    }
}

impl<T> error::Error for NotQueued<T> {}
