use std::ops::Range;

use super::dead_letter::DeadOutcome;
use super::error::SpoolError;
use crate::Operation;
use crate::packer::Priority;
use crate::queue::error::Reason;

/// The bytes that an operation counts for beside its JSON: its columns and its share of a page.
pub(super) const ROW_OVERHEAD: usize = 128;

/// The operations on disk. The one implementation is on SQLite; tests wrap it to inject failures.
pub(super) trait Store: Send {
    /// Writes all changes or none, and returns once they are on disk.
    fn commit(&mut self, changes: &Changes) -> Result<Written, Failure>;

    /// Returns at most `limit` operations with an id of at least `from`, in the order of their ids.
    /// It reads no further than the first one that does not fit, which it drops.
    fn load(
        &mut self,
        from: u64,
        limit: usize,
        fits: &mut dyn FnMut(&Row) -> bool,
    ) -> Result<Vec<Row>, Failure>;

    /// Returns at most `limit` dead letters with an id higher than `after`.
    fn dead_letters(&mut self, after: u64, limit: usize) -> Result<Vec<DeadRow>, Failure>;

    /// Returns the number of dead letters.
    fn dead(&self) -> u64;

    /// Gives the reserved part of the disk free, so that settled operations can be written.
    fn release_reserve(&mut self);

    /// Reserves a part of the disk again, if it is not reserved. The error says that the disk is
    /// full.
    fn refill_reserve(&mut self) -> Result<(), SpoolError>;
}

/// The reason why a store failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk is full. Nothing was changed, and the store can be used further.
    DiskFull(SpoolError),
    /// Another program writes to the file. Nothing was changed, and the store can be used further.
    Busy(SpoolError),
    /// A row has a value that the store does not write. The store can be used further.
    WrongRow(SpoolError),
    /// It is open what is on disk, so the store must not be used further.
    Failed(SpoolError),
}

impl Failure {
    /// Returns the reason for which the operations of a transaction are handed back.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::DiskFull(error) | Self::Busy(error) | Self::WrongRow(error) => {
                Reason::Spool(error.clone())
            }
            Self::Failed(error) => Reason::MaybeWritten(error.clone()),
        }
    }

    pub(super) fn into_error(self) -> SpoolError {
        match self {
            Self::DiskFull(error)
            | Self::Busy(error)
            | Self::WrongRow(error)
            | Self::Failed(error) => error,
        }
    }
}

/// An operation on disk.
#[derive(Clone)]
pub(super) struct Row {
    /// The order of enqueue. Ids grow, with gaps.
    pub(super) id: u64,
    pub(super) priority: Priority,
    /// Milliseconds since 1970.
    pub(super) enqueued_at: u64,
    pub(super) operation: Operation,
}

/// The changes of one transaction, in the order of the fields.
#[derive(Default)]
pub(super) struct Changes {
    /// Operations that are settled, and are no dead letters.
    pub(super) removed: Vec<u64>,
    /// Operations to cancel, by ranges of ids.
    pub(super) canceled: Vec<Range<u64>>,
    /// Dead letters to delete.
    pub(super) deleted_dead: Vec<u64>,
    pub(super) dead: Vec<Dead>,
    /// The ids of the backlog. If one of `dead` ended unknown, the operations of the backlog on the
    /// same people become dead letters, too.
    pub(super) backlog: Range<u64>,
    pub(super) inserted: Vec<Row>,
    /// Operations that must not be sent twice, and whether their request departs next or did not
    /// depart. The last entry of an operation counts.
    pub(super) departures: Vec<(u64, bool)>,
}

/// An operation that becomes a dead letter.
pub(super) struct Dead {
    pub(super) id: u64,
    pub(super) outcome: DeadOutcome,
    pub(super) reason: String,
}

/// The operations that a transaction has settled beside those that it named.
#[derive(Default)]
pub(super) struct Written {
    pub(super) canceled: Vec<SettledRow>,
    /// Operations behind an unknown one.
    pub(super) withheld: Vec<SettledRow>,
}

/// An operation that is no longer to be sent.
#[derive(Clone, Copy)]
pub(super) struct SettledRow {
    pub(super) id: u64,
    pub(super) bytes: u64,
}

/// A dead letter on disk.
pub(super) struct DeadRow {
    pub(super) row: Row,
    pub(super) outcome: DeadOutcome,
    pub(super) reason: String,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty()
            && self.canceled.is_empty()
            && self.deleted_dead.is_empty()
            && self.dead.is_empty()
            && self.inserted.is_empty()
            && self.departures.is_empty()
    }
}

impl Row {
    pub(super) fn bytes(&self) -> u64 {
        (self.operation.size() + ROW_OVERHEAD) as u64
    }
}
