use anyhow::Result;

use super::csv::CsvRows;
use super::dialect::Dialect;
use super::header::Header;
use super::json::JsonRows;
use super::row::{LineBreaks, Row};
use crate::reject::{RecordError, Reject};
use crate::suspect_id::SuspectId;

/// An iterator over the records of an input. The outer error ends the reading; the inner one is
/// about one record.
#[derive(Debug)]
pub(crate) struct Rows {
    reader: RowReader,
    dialect: Dialect,
}

/// The reader of one format.
#[derive(Debug)]
pub(super) enum RowReader {
    Csv(Box<CsvRows>),
    Json(JsonRows),
}

impl Rows {
    pub(super) const fn new(reader: RowReader, dialect: Dialect) -> Self {
        Self { reader, dialect }
    }

    /// Returns the header of a CSV file; JSON lines have none.
    pub(crate) fn header(&self) -> Option<&Header> {
        match &self.reader {
            RowReader::Csv(rows) => Some(rows.header()),
            RowReader::Json(_) => None,
        }
    }

    /// Returns the number of cells with line breaks in the records read so far.
    pub(crate) fn line_breaks(&self) -> LineBreaks {
        match &self.reader {
            RowReader::Csv(rows) => rows.line_breaks(),
            RowReader::Json(_) => LineBreaks::default(),
        }
    }

    /// Rejects a suspect id where no plan can ask about it.
    fn check(&self, row: Row) -> Result<Row, Reject> {
        let Dialect {
            person,
            is_by_id,
            is_strict,
            ..
        } = &self.dialect;
        let suspect = row.fields.get(person).and_then(SuspectId::of);
        match suspect.filter(|_| *is_by_id && *is_strict) {
            None => Ok(row),
            Some(suspect) => {
                let reason =
                    format!("the id is {suspect}; correct it, or add --yes if it is right");
                let lines = (row.line, row.last_line);
                Err(RecordError::named(person, reason).over(lines).at(row.line))
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match &mut self.reader {
            RowReader::Csv(rows) => rows.next(),
            RowReader::Json(rows) => rows.next(),
        }?;
        Some(row.map(|row| row.and_then(|row| self.check(row))))
    }
}
