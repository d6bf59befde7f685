use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::dialect::{Delimiter, Dialect};
use super::header::{self, Header};
use super::original::{Layout, Original, REJECTS_COLUMNS};
use super::row::{BrokenInput, LineBreaks, Row};
use super::source::Bytes;
use super::tokenizer::{DamageKind, Record, Tokenizer};
use crate::display::counted;
use crate::reject::{Column, RecordError, Reject};

/// Reads CSV as in RFC 4180, with a header. Every cell is text.
pub(crate) struct CsvRows {
    tokenizer: Tokenizer,
    delimiter: Delimiter,
    header: Header,
    dialect: Dialect,
    record: Record,
    position: u64,
    line_breaks: LineBreaks,
    is_at_end: bool,
    /// For each column, whether it is a column of the input and not one of a rejects file.
    is_own: Vec<bool>,
}

/// A header in the place of a row, as in files that were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RepeatedHeader {
    Same,
    /// With other columns or in another order: this file's header does not fit the rows after it.
    Other,
}

// === impl CsvRows ===

impl CsvRows {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Fails if the header is missing, damaged or not UTF-8, if a name is empty or occurs twice,
    /// and if only another delimiter gives the person's column.
    pub(crate) fn new(source: Bytes, dialect: &Dialect) -> Result<Self> {
        let delimiter = dialect.delimiter.unwrap_or(Delimiter::COMMA);
        let mut tokenizer = Tokenizer::new(source, delimiter.byte());
        let (delimiter, header) = header::read(&mut tokenizer, dialect)?;
        tokenizer.width = Some(header.columns.len());
        let is_own = |name: &String| !REJECTS_COLUMNS.contains(&name.as_str());
        let is_own = header.columns.iter().map(is_own).collect();
        Ok(Self {
            tokenizer,
            delimiter,
            header,
            dialect: dialect.clone(),
            record: Record::default(),
            position: 0,
            line_breaks: LineBreaks::default(),
            is_at_end: false,
            is_own,
        })
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn keep_originals(&mut self) -> Layout {
        self.tokenizer.keep_raw();
        let own = self.header.columns.iter().zip(&self.is_own);
        Layout::Csv {
            delimiter: self.delimiter.byte(),
            columns: own
                .filter(|(_, is_own)| **is_own)
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// Returns the record that was read last, as it is in the file.
    pub(super) fn original(&self) -> Original {
        let is_whole = self.record.damage.is_none()
            && self.record.oversize.is_none()
            && self.record.len() == self.header.columns.len();
        match is_whole {
            true => Original::of_cells(self.record.cells(), &self.is_own, self.delimiter.byte()),
            false => Original::of_text(self.tokenizer.raw()),
        }
    }

    pub(super) fn line_breaks(&self) -> LineBreaks {
        self.line_breaks
    }

    fn row(&self) -> Result<Row, RecordError> {
        if let Some(damage) = &self.record.damage {
            let column = self.column(damage.column);
            return Err(RecordError::at_column(column, damage.reason()));
        }
        if let Some(column) = self.record.oversize {
            let reason = "makes the record longer than 1 MiB; shorten it or remove the record";
            return Err(RecordError::at_column(self.column(column), reason));
        }
        self.check_leftovers()?;
        self.check_width()?;
        self.check_rows_in_cell()?;
        let mut fields = Map::new();
        for (column, cell) in self.header.columns.iter().zip(self.record.cells()) {
            let text = str::from_utf8(cell).map_err(|_| {
                let reason = "is not UTF-8; save the file as UTF-8 or correct the cell";
                RecordError::named(column, reason)
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

    /// Returns the column with this number, counted from 1. Cells beyond the header have no name.
    fn column(&self, number: usize) -> Column {
        match self.header.columns.get(number - 1) {
            Some(name) => Column::Name(name.clone()),
            None => Column::Number(number),
        }
    }

    /// Rejects leftovers of programs between records: headers and byte order marks of files that
    /// were joined, and characters that end a file.
    fn check_leftovers(&self) -> Result<(), RecordError> {
        if self.repeated_header() == Some(RepeatedHeader::Same) {
            let reason = "repeats the header; were files joined? remove the line";
            return Err(RecordError::new(reason));
        }
        if let Some(Ok(_)) = Delimiter::of_sep_line(&self.record, self.delimiter) {
            return Err(RecordError::new(
                "is a line `sep=`, as at the start of a file; were files joined? remove the line",
            ));
        }
        if self.record.has_byte_order_mark {
            let reason = "begins with a byte order mark; were files joined? remove the mark";
            return Err(RecordError::new(reason));
        }
        for (number, cell) in (1..).zip(self.record.cells()) {
            let reason = if cell.contains(&0x1a) {
                "contains Ctrl-Z, which some programs write at the end of a file; remove it"
            } else if cell.contains(&0) {
                "contains a zero byte; is the file damaged? remove the byte"
            } else {
                continue;
            };
            return Err(RecordError::at_column(self.column(number), reason));
        }
        Ok(())
    }

    /// Returns whether the row is a header, this file's or another one.
    fn repeated_header(&self) -> Option<RepeatedHeader> {
        let is = |cell: &[u8], name: &String| {
            cell.trim_ascii()
                .eq_ignore_ascii_case(name.as_bytes().trim_ascii())
        };
        let is_name = |cell: &[u8]| self.header.columns.iter().any(|name| is(cell, name));
        let mut pairs = self.record.cells().zip(&self.header.columns);
        if self.record.len() == self.header.columns.len()
            && pairs.all(|(cell, name)| is(cell, name))
        {
            return Some(RepeatedHeader::Same);
        }
        // A person whose id is the name of a column is possible; two such cells are a header.
        let person = (self.header.columns.iter()).position(|name| *name == self.dialect.person)?;
        let cell = self.record.cells().nth(person)?;
        let is_other = is(cell, &self.header.columns[person])
            || (is_name(cell) && self.record.cells().filter(|cell| is_name(cell)).count() > 1);
        is_other.then_some(RepeatedHeader::Other)
    }

    fn check_width(&self) -> Result<(), RecordError> {
        let (expected, found) = (self.header.columns.len(), self.record.len());
        if found == expected {
            return Ok(());
        }
        let delimiters = match self.delimiter {
            Delimiter::COMMA => "commas".to_owned(),
            other => other.to_string(),
        };
        let cells = counted(found as u64, "cell", "cells");
        let reason = format!(
            "the row has {cells}, the header has {expected}; quote cells that contain {delimiters}"
        );
        Err(RecordError::numbered(expected.min(found) + 1, reason))
    }

    /// Rejects a cell with lines that look like rows, if no plan has asked about it.
    fn check_rows_in_cell(&self) -> Result<(), RecordError> {
        if self.record.has_rows_in_cell && self.dialect.is_strict {
            return Err(RecordError::new(
                "a cell contains lines that look like rows; is a quote missing? correct it; --yes \
                 without --reject-suspects sends it unchanged",
            ));
        }
        Ok(())
    }

    /// Returns an error if nothing may be sent from this record on.
    fn broken_input(&mut self) -> Option<BrokenInput> {
        if let Some(damage) = self.record.damage.filter(|damage| damage.is_end_uncertain) {
            self.is_at_end = damage.kind == DamageKind::NeverClosed;
            let column = self.column(damage.column);
            let error = RecordError::at_column(column, damage.reason());
            return Some(BrokenInput(error.at(damage.line)));
        }
        let is_whole = self.record.damage.is_none() && self.record.oversize.is_none();
        if is_whole && self.repeated_header() == Some(RepeatedHeader::Other) {
            let error = RecordError::new(
                "looks like the header of another file, with other columns; were files joined? \
                 split them, or rename the person's column if this line is a person",
            );
            return Some(BrokenInput(error.at(self.record.lines.0)));
        }
        None
    }

    fn next_row(&mut self) -> Result<Row, Reject> {
        let Record {
            lines,
            multiline_cells,
            has_rows_in_cell,
            ..
        } = self.record;
        self.line_breaks
            .add(multiline_cells, has_rows_in_cell, lines.0);
        let row = self.row();
        self.position += 1;
        let line = self.record.damage.map_or(lines.0, |damage| damage.line);
        row.map_err(|error| error.over(lines).at(line))
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
            Ok(true) => Some(match self.broken_input() {
                Some(broken) => Err(broken.into()),
                None => Ok(self.next_row()),
            }),
            Err(error) => {
                self.is_at_end = true;
                let line = self.tokenizer.line();
                let context = format!("the input cannot be read from line {line} on");
                Some(Err(error).context(context))
            }
        }
    }
}

#[cfg(test)]
mod tests;
