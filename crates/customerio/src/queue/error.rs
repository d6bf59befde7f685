use std::{error, fmt};

#[cfg(feature = "spool")]
use super::spool::SpoolError;
#[cfg(feature = "spool")]
use crate::Cause;
use crate::Operation;

/// The error of [`Queue::enqueue`](super::Queue::enqueue), with the operation that was not
/// enqueued. It was not sent.
pub struct NotEnqueued {
    pub(super) operation: Operation,
    pub(super) reason: Reason,
}

#[derive(Clone, Debug)]
pub(super) enum Reason {
    Full,
    Closed,
    #[cfg(feature = "spool")]
    Spool(SpoolError),
}

impl Reason {
    /// Returns the reason as the cause of an operation that was not sent.
    #[cfg(feature = "spool")]
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Spool(error) => Cause::new(error.clone()),
            Self::Full | Self::Closed => Cause::stopped(),
        }
    }
}

impl NotEnqueued {
    /// Returns whether the queue is full, by its number of operations or by their bytes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.reason, Reason::Full)
    }

    /// Returns whether the queue is drained, or its worker has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.reason, Reason::Closed)
    }

    /// Returns the error of the spool, if the operation could not be written to disk.
    ///
    /// If [`is_disk_full`](SpoolError::is_disk_full), the operation is not on disk. After another
    /// error it may be, and would then be sent by the next queue on the spool.
    #[cfg(feature = "spool")]
    #[must_use]
    pub fn spool_error(&self) -> Option<&SpoolError> {
        match &self.reason {
            Reason::Spool(error) => Some(error),
            Reason::Full | Reason::Closed => None,
        }
    }

    /// Returns the operation.
    #[must_use]
    pub fn into_operation(self) -> Operation {
        self.operation
    }
}

impl fmt::Display for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Full => {
                f.write_str("the queue is full; enqueue later, or raise `max_len` or `max_bytes`")
            }
            Reason::Closed => {
                f.write_str("the queue is closed: it was drained, or its worker has ended")
            }
            #[cfg(feature = "spool")]
            Reason::Spool(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotEnqueued({:?})", self.reason)
    }
}

impl error::Error for NotEnqueued {}
