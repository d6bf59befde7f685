//! Types that the readers of CSV and of JSON lines share.

use std::{error, fmt};

use serde_json::{Map, Value};

use crate::reject::Reject;

/// The most bytes of one record.
///
/// An operation of the API holds 32,000 bytes, so a longer record is damage: a quote that is never
/// closed, or a file without line breaks. With a larger value, such a file takes more memory.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// One record as it is in the file, fields without a value included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The first line of the record, counted from 1.
    pub(crate) line: u64,
    /// The last line of the record. It differs from `line` if a cell holds line breaks.
    pub(crate) last_line: u64,
    /// The number of records before this one, rejected ones included.
    pub(crate) position: u64,
    pub(crate) fields: Map<String, Value>,
}

/// The error for a place after which it is uncertain where records begin and end.
///
/// Reading may go on to find further such places, but no later record may be sent: it may be a
/// piece of a cell.
#[derive(Debug)]
pub(crate) struct BrokenInput(pub(super) Reject);

/// Counts the cells of a CSV file that hold line breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineBreaks {
    pub(crate) cells: u64,
    /// The line of the first record with such a cell.
    pub(crate) line: u64,
    /// Records with a line in a cell that looks like a row.
    pub(crate) rows_in_cells: u64,
    /// The line of the first such record.
    pub(crate) rows_in_cells_line: u64,
}

// === impl BrokenInput ===

impl fmt::Display for BrokenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.0)
    }
}

impl error::Error for BrokenInput {}

// === impl LineBreaks ===

impl LineBreaks {
    /// Counts a record that begins on `line`.
    pub(super) fn add(&mut self, cells: u64, has_rows_in_cell: bool, line: u64) {
        let rows = u64::from(has_rows_in_cell);
        if self.cells == 0 && cells > 0 {
            self.line = line;
        }
        if self.rows_in_cells == 0 && rows > 0 {
            self.rows_in_cells_line = line;
        }
        self.cells += cells;
        self.rows_in_cells += rows;
    }
}
