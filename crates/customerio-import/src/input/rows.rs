use anyhow::Result;

use super::csv::CsvRows;
use super::json::JsonRows;
use super::row::Row;
use crate::reject::Reject;

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
