use std::fmt;

use super::store::DeadRow;
use crate::{Operation, Timestamp};

/// An operation that a spool keeps because it was not accepted.
///
/// `Debug` shows neither the operation nor the reason, which may quote it.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The number by which [`Queue::put_back`](crate::queue::Queue::put_back) finds it: that of the
    /// operation, in the order of enqueue. No other operation of the spool has had it.
    pub id: u64,
    /// The operation, as it was enqueued.
    pub operation: Operation,
    /// The outcome of the operation.
    pub outcome: DeadOutcome,
    /// The reason: at most a few thousand bytes, with the server's words. It may quote a person's
    /// data.
    pub reason: String,
    /// When the operation was enqueued, if the clock was set to a time that the API accepts.
    pub enqueued_at: Option<Timestamp>,
}

/// The outcome of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadOutcome {
    /// The API rejected the operation.
    Rejected,
    /// The operation was sent, and may have been applied.
    Unknown,
    /// The operation was not sent, as when an earlier one on the same person ended unknown.
    NotSent,
}

impl DeadOutcome {
    const ALL: [Self; 3] = [Self::Rejected, Self::Unknown, Self::NotSent];

    /// Returns the word in the table of dead letters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NotSent => "not sent",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl From<DeadRow> for DeadLetter {
    fn from(dead: DeadRow) -> Self {
        let DeadRow {
            row,
            outcome,
            reason,
        } = dead;
        let seconds = i64::try_from(row.enqueued_at / 1_000).ok();
        let time = seconds.and_then(|seconds| Timestamp::new(seconds).ok());
        Self {
            id: row.id,
            operation: row.operation,
            outcome,
            reason,
            enqueued_at: time,
        }
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
