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
    /// The spool has no room for further operations.
    #[cfg(feature = "spool")]
    SpoolFull,
    /// The memory has no room for further operations that wait to be written.
    #[cfg(feature = "spool")]
    UnwrittenFull,
    /// The operation is not on disk.
    #[cfg(feature = "spool")]
    Spool(SpoolError),
    /// The disk failed in a way that leaves open whether the operation is on it.
    #[cfg(feature = "spool")]
    MaybeWritten(SpoolError),
}

impl Reason {
    /// Returns the reason as the cause of an operation that was not sent.
    #[cfg(feature = "spool")]
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Spool(error) => Cause::new(error.clone()),
            Self::MaybeWritten(error) => Cause::maybe_kept(error.clone()),
            Self::Full | Self::SpoolFull | Self::UnwrittenFull | Self::Closed => Cause::stopped(),
        }
    }
}

impl NotEnqueued {
    /// Returns whether the queue is full, by its number of operations or by their bytes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self.reason {
            Reason::Full => true,
            #[cfg(feature = "spool")]
            Reason::SpoolFull | Reason::UnwrittenFull => true,
            _ => false,
        }
    }

    /// Returns whether the queue is drained, or its worker has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.reason, Reason::Closed)
    }

    /// Returns the error of the spool, if the operation could not be written to disk.
    #[cfg(feature = "spool")]
    #[must_use]
    pub fn spool_error(&self) -> Option<&SpoolError> {
        match &self.reason {
            Reason::Spool(error) | Reason::MaybeWritten(error) => Some(error),
            _ => None,
        }
    }

    /// Returns whether the disk failed while the operation was written, so that the spool may keep
    /// it.
    ///
    /// If it does, the next queue on the spool sends it. An operation that is enqueued again, with
    /// another id, would then be sent twice. Keep its id, or look into the spool first.
    #[cfg(feature = "spool")]
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        matches!(self.reason, Reason::MaybeWritten(_))
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
            Reason::SpoolFull => {
                f.write_str("the spool is full; enqueue later, or raise `Spool::max_bytes`")
            }
            #[cfg(feature = "spool")]
            Reason::UnwrittenFull => f.write_str(
                "too many operations wait to be written to the spool; enqueue later, \
                 or raise `QueueBuilder::max_bytes`: an eighth of it is for them",
            ),
            #[cfg(feature = "spool")]
            Reason::Spool(error) => error.fmt(f),
            #[cfg(feature = "spool")]
            Reason::MaybeWritten(error) => {
                write!(f, "{error}; the operation may be in the spool")
            }
        }
    }
}

impl fmt::Debug for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotEnqueued({:?})", self.reason)
    }
}

impl error::Error for NotEnqueued {}
