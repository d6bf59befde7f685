use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::broken::Broken;
use super::bytes::Bytes;
use super::delimiter::Delimiter;
use super::header::{self, Header};
use super::record::{DamageKind, Record};
use super::row::Row;
use super::rows::{Dialect, LineBreaks};
use super::tokenizer::Tokenizer;
use crate::reject::{Column, Fault, Reject};

/// Reads RFC 4180 with a header. Every cell is text.
pub(crate) struct CsvRows {
    tokenizer: Tokenizer,
    delimiter: Delimiter,
    header: Header,
    dialect: Dialect,
    record: Record,
    position: u64,
    line_breaks: LineBreaks,
    is_at_end: bool,
}

/// A header where a row should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderAgain {
    Same,
    /// With other columns, or in another order: the cells that follow are not what this file's
    /// header says.
    Other,
}

// === impl CsvRows ===

impl CsvRows {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Fails on a header that is missing, damaged or not UTF-8, that has a name twice or an empty
    /// one, and where it is another delimiter that brings the person's column to light.
    pub(crate) fn new(source: Bytes, dialect: &Dialect) -> Result<Self> {
        let by = dialect.delimiter.unwrap_or(Delimiter::COMMA);
        let mut tokenizer = Tokenizer::new(source, by.byte());
        let (delimiter, header) = header::read(&mut tokenizer, dialect)?;
        tokenizer.width = Some(header.columns.len());
        Ok(Self {
            tokenizer,
            delimiter,
            header,
            dialect: dialect.clone(),
            record: Record::default(),
            position: 0,
            line_breaks: LineBreaks::default(),
            is_at_end: false,
        })
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
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
        for (column, cell) in self.header.columns.iter().zip(self.record.cells()) {
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
        match self.header.columns.get(number - 1) {
            Some(name) => Column::Name(name.clone()),
            None => Column::Number(number),
        }
    }

    /// Refuses what programs leave behind between the records: headers and marks of files that were
    /// joined, ends of files.
    fn check_strays(&self) -> Result<(), Fault> {
        if self.header_again() == Some(HeaderAgain::Same) {
            return Err(Fault::new(
                "repeats the header; were files joined? remove the line",
            ));
        }
        if let Some(Ok(_)) = Delimiter::announced(&self.record, self.delimiter) {
            return Err(Fault::new(
                "names a delimiter, as a first line does; were files joined? remove the line",
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

    /// Tells whether the row is a header, as in the middle of files that were joined: this file's
    /// or another one.
    fn header_again(&self) -> Option<HeaderAgain> {
        let is = |cell: &[u8], name: &String| {
            cell.trim_ascii()
                .eq_ignore_ascii_case(name.as_bytes().trim_ascii())
        };
        let is_name = |cell: &[u8]| self.header.columns.iter().any(|name| is(cell, name));
        let mut pairs = self.record.cells().zip(&self.header.columns);
        if self.record.len() == self.header.columns.len()
            && pairs.all(|(cell, name)| is(cell, name))
        {
            return Some(HeaderAgain::Same);
        }
        let person = (self.header.columns.iter()).position(|name| *name == self.dialect.person)?;
        let cell = self.record.cells().nth(person)?;
        let is_other = is(cell, &self.header.columns[person])
            || (is_name(cell) && self.record.cells().filter(|cell| is_name(cell)).count() > 1);
        is_other.then_some(HeaderAgain::Other)
    }

    fn check_width(&self) -> Result<(), Fault> {
        let (expected, found) = (self.header.columns.len(), self.record.len());
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

    /// Returns the place from which on nothing may be sent, if the record is one.
    fn broken(&mut self) -> Option<Broken> {
        if let Some(damage) = self.record.damage.filter(|damage| damage.is_lost) {
            self.is_at_end = damage.kind == DamageKind::NeverClosed;
            let fault = Fault::at_column(self.column(damage.column), damage.reason());
            return Some(Broken(fault.at(damage.line)));
        }
        let is_whole = self.record.damage.is_none() && self.record.oversize.is_none();
        if is_whole && self.header_again() == Some(HeaderAgain::Other) {
            let fault = Fault::new(
                "looks like the header of another file, with other columns; were files joined? split the file, or rename \
                 its person's column if this is a person",
            );
            return Some(Broken(fault.at(self.record.lines.0)));
        }
        None
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
            .field("header", &self.header)
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
            Ok(true) => Some(match self.broken() {
                Some(broken) => Err(broken.into()),
                None => Ok(self.next_row()),
            }),
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
