use anyhow::Result;
use serde_json::{Map, Value};

use super::csv::CsvRows;
use super::json::JsonRows;
use crate::reject::Reject;

/// The most bytes that one record of a file may take. An operation holds 32,000, so that what is longer is damage:
/// a quote that is never closed, or a file without ends of lines.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// One record as it stands in the file, fields without a value included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Counted from 1, as editors do.
    pub(crate) line: u64,
    /// Counted from 0, rejected records included.
    pub(crate) position: u64,
    pub(crate) fields: Map<String, Value>,
}

/// Iterates over the records of an input. The outer error ends the reading; the inner one is about one record.
#[derive(Debug)]
pub(crate) enum Rows {
    Csv(CsvRows),
    Json(JsonRows),
}

impl Rows {
    /// Returns the names in the header; JSON lines have none.
    pub(crate) fn columns(&self) -> Option<&[String]> {
        match self {
            Self::Csv(rows) => Some(rows.columns()),
            Self::Json(_) => None,
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Json(rows) => rows.next(),
        }
    }
}
