use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::broken::Broken;
use super::bytes::Bytes;
use super::delimiter::Delimiter;
use super::header;
use super::record::{DamageKind, Record};
use super::row::Row;
use super::rows::{Dialect, LineBreaks};
use super::tokenizer::Tokenizer;
use crate::reject::{Column, Fault, Reject};

/// Reads RFC 4180 with a header. Every cell is text.
pub(crate) struct CsvRows {
    tokenizer: Tokenizer,
    delimiter: Delimiter,
    columns: Vec<String>,
    dialect: Dialect,
    record: Record,
    position: u64,
    line_breaks: LineBreaks,
    is_at_end: bool,
}

// === impl CsvRows ===

impl CsvRows {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Fails on a header that is missing, damaged or not UTF-8, that has a name twice or an empty one, and where it is
    /// another delimiter that brings the person's column to light.
    pub(crate) fn new(source: Bytes, dialect: &Dialect) -> Result<Self> {
        let by = dialect.delimiter.unwrap_or(Delimiter::COMMA);
        let mut tokenizer = Tokenizer::new(source, by.byte());
        let (delimiter, columns) = header::read(&mut tokenizer, dialect)?;
        tokenizer.width = Some(columns.len());
        Ok(Self {
            tokenizer,
            delimiter,
            columns,
            dialect: dialect.clone(),
            record: Record::default(),
            position: 0,
            line_breaks: LineBreaks::default(),
            is_at_end: false,
        })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn line_breaks(&self) -> LineBreaks {
        self.line_breaks
    }

    fn row(&self) -> Result<Row, Fault> {
        if let Some(damage) = &self.record.damage {
            return Err(Fault::at_column(
                self.column(damage.column),
                damage.reason(),
            ));
        }
        if let Some(column) = self.record.oversize {
            let reason = "makes a record of more than 1 MiB; shorten it or remove the record";
            return Err(Fault::at_column(self.column(column), reason));
        }
        self.check_strays()?;
        self.check_width()?;
        self.check_rows_inside()?;
        let mut fields = Map::new();
        for (column, cell) in self.columns.iter().zip(self.record.cells()) {
            let text = str::from_utf8(cell).map_err(|_| {
                Fault::named(
                    column,
                    "is not UTF-8; save the file in UTF-8 or correct the cell",
                )
            })?;
            fields.insert(column.clone(), Value::from(text));
        }
        let (line, last_line) = self.record.lines;
        Ok(Row {
            line,
            last_line,
            position: self.position,
            fields,
        })
    }

    /// Names the column that `number` counts to, from 1; those behind the header's have no name.
    fn column(&self, number: usize) -> Column {
        match self.columns.get(number - 1) {
            Some(name) => Column::Name(name.clone()),
            None => Column::Number(number),
        }
    }

    /// Refuses what programs leave behind between the records: headers and marks of files that were joined, ends of files.
    fn check_strays(&self) -> Result<(), Fault> {
        if self.repeats_header() {
            return Err(Fault::new(
                "repeats the header; were files joined? remove the line",
            ));
        }
        if self.record.is_marked {
            return Err(Fault::new(
                "begins with a byte order mark; were files joined? remove the mark",
            ));
        }
        for (number, cell) in (1..).zip(self.record.cells()) {
            let reason = if cell.contains(&0x1a) {
                "holds Ctrl-Z, with which some programs end a file; remove it"
            } else if cell.contains(&0) {
                "holds a zero byte; is the file damaged? remove it"
            } else {
                continue;
            };
            return Err(Fault::at_column(self.column(number), reason));
        }
        Ok(())
    }

    /// Tells whether the row holds the names of the columns, in any order, or that of the person's column as the person.
    fn repeats_header(&self) -> bool {
        let folded = |cell: &[u8]| cell.trim_ascii().to_ascii_lowercase();
        let is_person = |(name, cell): (&String, &[u8])| {
            *name == self.dialect.person && folded(name.as_bytes()) == folded(cell)
        };
        if self.columns.iter().zip(self.record.cells()).any(is_person) {
            return true;
        }
        if self.record.len() != self.columns.len() {
            return false;
        }
        let mut names: Vec<_> = self
            .columns
            .iter()
            .map(|name| folded(name.as_bytes()))
            .collect();
        let mut cells: Vec<_> = self.record.cells().map(folded).collect();
        names.sort_unstable();
        cells.sort_unstable();
        names == cells
    }

    fn check_width(&self) -> Result<(), Fault> {
        let (expected, found) = (self.columns.len(), self.record.len());
        if found == expected {
            return Ok(());
        }
        let held = match self.delimiter {
            Delimiter::COMMA => "commas".to_owned(),
            other => other.to_string(),
        };
        let reason = format!(
            "cells in the row: {found}, in the header: {expected}; quote cells that hold {held}"
        );
        Err(Fault::numbered(expected.min(found) + 1, reason))
    }

    /// Refuses a cell that holds rows, where nobody has seen the plan that tells of it.
    fn check_rows_inside(&self) -> Result<(), Fault> {
        if self.record.holds_rows && self.dialect.is_cautious {
            return Err(Fault::new(
                "a cell holds what looks like rows; is a quote missing? correct it, or add --yes if it is none",
            ));
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<Row, Reject> {
        let lines = self.record.lines;
        self.line_breaks
            .add(self.record.broken_cells, self.record.holds_rows, lines.0);
        let row = self.row();
        self.position += 1;
        let line = self.record.damage.map_or(lines.0, |damage| damage.line);
        row.map_err(|fault| fault.over(lines).at(line))
    }
}

impl fmt::Debug for CsvRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvRows")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl Iterator for CsvRows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_at_end {
            return None;
        }
        match self.tokenizer.read(&mut self.record) {
            Ok(false) => {
                self.is_at_end = true;
                None
            }
            Ok(true) => match self.record.damage.filter(|damage| damage.is_lost) {
                None => Some(Ok(self.next_row())),
                Some(damage) => {
                    self.is_at_end = damage.kind == DamageKind::NeverClosed;
                    let fault = Fault::at_column(self.column(damage.column), damage.reason());
                    Some(Err(Broken(fault.at(damage.line)).into()))
                }
            },
            Err(error) => {
                self.is_at_end = true;
                let line = self.tokenizer.line();
                Some(
                    Err(error)
                        .with_context(|| format!("the input cannot be read from line {line} on")),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
