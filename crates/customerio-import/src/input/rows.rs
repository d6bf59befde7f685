use anyhow::Result;

use super::csv::CsvRows;
use super::delimiter::Delimiter;
use super::header::Header;
use super::json::JsonRows;
use super::row::Row;
use crate::doubt::Doubt;
use crate::reject::{Fault, Reject};

/// Iterates over the records of an input. The outer error ends the reading; the inner one is about
/// one record.
#[derive(Debug)]
pub(crate) struct Rows {
    lines: Lines,
    dialect: Dialect,
}

#[derive(Debug)]
pub(super) enum Lines {
    Csv(Box<CsvRows>),
    Json(JsonRows),
}

/// What is known about a file beside its format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialect {
    /// Where none is given it is a comma, or what the line `sep=` says.
    pub(crate) delimiter: Option<Delimiter>,
    /// The column that says who the person is.
    pub(crate) person: String,
    /// Whether that column holds an id, of whatever form.
    pub(crate) is_by_id: bool,
    /// Rejects what a plan would ask about, where there is no plan and nobody has said yes.
    pub(crate) is_cautious: bool,
}

/// Counts the cells of a CSV file that hold line breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineBreaks {
    pub(crate) cells: u64,
    /// The line of the first record with such a cell.
    pub(crate) line: u64,
    /// Records in which a line of a cell looks like a row, and the line of the first.
    pub(crate) holding_rows: u64,
    pub(crate) holding_rows_line: u64,
}

// === impl LineBreaks ===

impl LineBreaks {
    pub(super) fn add(&mut self, cells: u64, holds_rows: bool, line: u64) {
        let rows = u64::from(holds_rows);
        if self.cells == 0 && cells > 0 {
            self.line = line;
        }
        if self.holding_rows == 0 && rows > 0 {
            self.holding_rows_line = line;
        }
        self.cells += cells;
        self.holding_rows += rows;
    }
}

// === impl Rows ===

impl Rows {
    pub(super) const fn new(lines: Lines, dialect: Dialect) -> Self {
        Self { lines, dialect }
    }

    /// Returns the header of a CSV file; JSON lines have none.
    pub(crate) fn columns(&self) -> Option<&Header> {
        match &self.lines {
            Lines::Csv(rows) => Some(rows.header()),
            Lines::Json(_) => None,
        }
    }

    /// Returns the line breaks in the cells that were read so far.
    pub(crate) fn line_breaks(&self) -> LineBreaks {
        match &self.lines {
            Lines::Csv(rows) => rows.line_breaks(),
            Lines::Json(_) => LineBreaks::default(),
        }
    }

    fn check(&self, row: Row) -> Result<Row, Reject> {
        let Dialect {
            person,
            is_by_id,
            is_cautious,
            ..
        } = &self.dialect;
        let doubt = row.fields.get(person).and_then(Doubt::of);
        match doubt.filter(|_| *is_by_id && *is_cautious) {
            None => Ok(row),
            Some(doubt) => {
                let reason = format!("is an id {doubt}; correct it, or add --yes if it is right");
                let lines = (row.line, row.last_line);
                Err(Fault::named(person, reason).over(lines).at(row.line))
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match &mut self.lines {
            Lines::Csv(rows) => rows.next(),
            Lines::Json(rows) => rows.next(),
        }?;
        Some(row.map(|row| row.and_then(|row| self.check(row))))
    }
}
