use serde_json::{Map, Value};

/// The most bytes that one record of a file may take. An operation holds 32,000, so that what is
/// longer is damage: a quote that is never closed, or a file without ends of lines.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// One record as it stands in the file, fields without a value included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Counted from 1, as editors do.
    pub(crate) line: u64,
    /// The line on which the record ends; another one where a cell holds line breaks.
    pub(crate) last_line: u64,
    /// Counted from 0, rejected records included.
    pub(crate) position: u64,
    pub(crate) fields: Map<String, Value>,
}
