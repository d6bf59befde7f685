use anyhow::Result;

use super::csv::CsvRows;
use super::header::Header;
use super::json::JsonRows;
use super::original::{Layout, Original};
use super::row::{LineBreaks, Row};
use crate::reject::Reject;

/// An iterator over the records of an input. The outer error ends the reading; the inner one is
/// about one record.
#[derive(Debug)]
pub(crate) struct Rows {
    reader: RowReader,
}

/// The reader of one format.
#[derive(Debug)]
pub(super) enum RowReader {
    Csv(Box<CsvRows>),
    Json(JsonRows),
}

impl Rows {
    pub(super) const fn new(reader: RowReader) -> Self {
        Self { reader }
    }

    /// Returns the header of a CSV file; JSON lines have none.
    pub(crate) fn header(&self) -> Option<&Header> {
        match &self.reader {
            RowReader::Csv(rows) => Some(rows.header()),
            RowReader::Json(_) => None,
        }
    }

    /// Returns how the rows of a rejects file are written, and keeps the text of each record from
    /// now on.
    pub(crate) fn keep_originals(&mut self) -> Layout {
        match &mut self.reader {
            RowReader::Csv(rows) => rows.keep_originals(),
            RowReader::Json(_) => Layout::Json,
        }
    }

    /// Returns the record that was read last, as it is in the input.
    pub(crate) fn original(&self) -> Original {
        match &self.reader {
            RowReader::Csv(rows) => rows.original(),
            RowReader::Json(rows) => rows.original(),
        }
    }

    /// Returns the number of cells with line breaks in the records read so far.
    pub(crate) fn line_breaks(&self) -> LineBreaks {
        match &self.reader {
            RowReader::Csv(rows) => rows.line_breaks(),
            RowReader::Json(_) => LineBreaks::default(),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.reader {
            RowReader::Csv(rows) => rows.next(),
            RowReader::Json(rows) => rows.next(),
        }
    }
}
