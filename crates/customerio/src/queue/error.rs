use std::{error, fmt};

use crate::Operation;

/// The error of [`Queue::enqueue`](super::Queue::enqueue), with the operation that was not
/// enqueued. It was not sent.
pub struct NotEnqueued {
    pub(super) operation: Operation,
    pub(super) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Full,
    Closed,
}

impl NotEnqueued {
    /// Returns whether the queue is full, by its number of operations or by their bytes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reason == Reason::Full
    }

    /// Returns whether the queue is drained, or its worker has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reason == Reason::Closed
    }

    /// Returns the operation.
    #[must_use]
    pub fn into_operation(self) -> Operation {
        self.operation
    }
}

impl fmt::Display for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Full => "the queue is full; enqueue later, or raise `max_len` or `max_bytes`",
            Reason::Closed => "the queue is closed: it was drained, or its worker has ended",
        })
    }
}

impl fmt::Debug for NotEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotEnqueued({:?})", self.reason)
    }
}

impl error::Error for NotEnqueued {}
