use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use csv::ByteRecord;
use serde_json::{Map, Value};

use super::bytes::Bytes;
use super::row::{MAX_RECORD, Row};
use crate::reject::{Fault, Reject};

/// Reads RFC 4180 with a header. Every cell is text.
pub(crate) struct CsvRows {
    reader: csv::Reader<Metered>,
    columns: Vec<String>,
    record: ByteRecord,
    position: u64,
}

/// Bounds what one record may take of the source, and remembers the last chunk.
struct Metered {
    source: Bytes,
    left: usize,
    chunk: Vec<u8>,
    /// The offset in the source of the end of the chunk.
    end: u64,
}

// === impl CsvRows ===

impl CsvRows {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Fails on a header that is missing, not UTF-8, or that has a name twice or an empty one.
    pub(crate) fn new(source: Bytes) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(Metered::new(source));
        let header = reader
            .byte_headers()
            .context("the header cannot be read")?
            .clone();
        let columns = columns(&header)?;
        Ok(Self {
            reader,
            columns,
            record: ByteRecord::new(),
            position: 0,
        })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the line on which the record just read began.
    ///
    /// The reader's own position stands before blank lines, and before the second half of the CRLF above, so that the
    /// line is counted back from the end of the record.
    fn line(&self) -> u64 {
        let end = self.reader.position();
        let inside = self
            .record
            .as_slice()
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64;
        let terminator = self.reader.get_ref().byte_before(end.byte()) == Some(b'\n');
        end.line() - inside - u64::from(terminator)
    }

    fn row(&self) -> Result<Row, Fault> {
        self.check_width()?;
        let mut fields = Map::new();
        for (column, cell) in self.columns.iter().zip(&self.record) {
            let text = str::from_utf8(cell).map_err(|_| {
                Fault::named(
                    column,
                    "is not UTF-8; save the file in UTF-8 or correct the cell",
                )
            })?;
            fields.insert(column.clone(), Value::from(text));
        }
        Ok(Row {
            line: self.line(),
            position: self.position,
            fields,
        })
    }

    fn check_width(&self) -> Result<(), Fault> {
        let (expected, found) = (self.columns.len(), self.record.len());
        if found == expected {
            return Ok(());
        }
        let reason = format!(
            "cells in the row: {found}, in the header: {expected}; quote cells that hold commas"
        );
        Err(Fault::numbered(expected.min(found) + 1, reason))
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
        self.reader.get_mut().left = MAX_RECORD;
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let row = self.row().map_err(|fault| fault.at(self.line()));
                self.position += 1;
                Some(Ok(row))
            }
            Err(error) => {
                let line = self.reader.position().line();
                Some(
                    Err(error)
                        .with_context(|| format!("the input cannot be read from line {line} on")),
                )
            }
        }
    }
}

fn columns(header: &ByteRecord) -> Result<Vec<String>> {
    let mut seen = HashMap::new();
    for (number, name) in (1..).zip(header) {
        let Ok(name) = str::from_utf8(name) else {
            bail!("line 1, column {number}: the header is not UTF-8; save the file in UTF-8");
        };
        ensure!(
            !name.is_empty(),
            "line 1, column {number}: the header has no name here; name the column or remove it"
        );
        // The name stays out: where the header is missing, the first line is a person's data.
        if let Some(first) = seen.insert(name, number) {
            bail!("line 1, column {number}: has the name of column {first}; rename one of the two");
        }
    }
    ensure!(
        !seen.is_empty(),
        "line 1: the header is missing; the first line must name the columns"
    );
    Ok(header
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

// === impl Metered ===

impl Metered {
    fn new(source: Bytes) -> Self {
        Self {
            source,
            left: MAX_RECORD,
            chunk: Vec::new(),
            end: 0,
        }
    }

    fn byte_before(&self, offset: u64) -> Option<u8> {
        let back = usize::try_from(self.end.checked_sub(offset)?).ok()?;
        let index = self.chunk.len().checked_sub(back + 1)?;
        self.chunk.get(index).copied()
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.left.min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::other(
                "a record of more than 1 MiB; is a quote never closed?",
            ));
        }
        let count = self.source.read(&mut buffer[..room])?;
        self.left -= count;
        self.end += count as u64;
        if count > 0 {
            self.chunk.clear();
            self.chunk.extend_from_slice(&buffer[..count]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(content: &[u8]) -> Result<CsvRows> {
        CsvRows::new(Box::new(io::Cursor::new(content.to_vec())))
    }

    /// Compares each record with `line: fields` or `line: fault`.
    fn check(content: &[u8], expected: &[&str]) {
        let shown = |row: Result<Result<Row, Reject>>| match row.unwrap() {
            Ok(row) => format!("{}: {}", row.line, Value::Object(row.fields)),
            Err(reject) => reject.to_string(),
        };
        assert_eq!(
            open(content).unwrap().map(shown).collect::<Vec<_>>(),
            expected
        );
    }

    fn check_header(header: &[u8], expected: &str) {
        assert_eq!(open(header).unwrap_err().to_string(), expected);
    }

    #[test]
    fn empty_cells_are_empty_text() {
        check(b"id,a,b\n1,,x\n", &[r#"2: {"a":"","b":"x","id":"1"}"#]);
    }

    #[test]
    fn cells_are_text_and_quotes_hold_commas_and_lines() {
        check(
            b"id,a\r\n1,\"x, \"\"y\"\"\nz\"\r\n2,007\r\n",
            &[
                &format!("2: {}", json!({"id": "1", "a": "x, \"y\"\nz"})),
                &format!("4: {}", json!({"id": "2", "a": "007"})),
            ],
        );
    }

    #[test]
    fn a_ragged_row_is_rejected_and_the_rest_goes_on() {
        check(
            b"id,a\n1\n2,b,c\n3,d\n",
            &[
                "2: column 2: cells in the row: 1, in the header: 2; quote cells that hold commas",
                "3: column 3: cells in the row: 3, in the header: 2; quote cells that hold commas",
                r#"4: {"a":"d","id":"3"}"#,
            ],
        );
    }

    #[test]
    fn broken_utf8_is_rejected_by_its_column() {
        check(
            b"id,a\n1,\xff\n2,b\n",
            &[
                r#"2: column "a": is not UTF-8; save the file in UTF-8 or correct the cell"#,
                r#"3: {"a":"b","id":"2"}"#,
            ],
        );
    }

    #[test]
    fn lines_are_right_after_blank_ones_and_a_byte_order_mark() {
        check(b"\xef\xbb\xbfid\n\n\n1\n", &[r#"4: {"id":"1"}"#]);
    }

    #[test]
    fn headers_that_cannot_be_used_are_refused() {
        check_header(
            b"",
            "line 1: the header is missing; the first line must name the columns",
        );
        check_header(
            b"id,a,id\n",
            "line 1, column 3: has the name of column 1; rename one of the two",
        );
        check_header(
            b"id,,b\n",
            "line 1, column 2: the header has no name here; name the column or remove it",
        );
        check_header(
            b"id,\xff\n",
            "line 1, column 2: the header is not UTF-8; save the file in UTF-8",
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
        let content = format!("id,a\n1,\"x\n{}", "2,b\n".repeat(MAX_RECORD));
        let error = open(content.as_bytes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap_err();
        assert!(
            format!("{error:#}").contains("a quote never closed"),
            "{error:#}"
        );
    }

    #[test]
    fn positions_count_rejected_records() {
        let rows = open(b"id,a\n1,b\n2\n3,c\n").unwrap();
        let positions: Vec<_> = rows
            .filter_map(|row| row.unwrap().ok())
            .map(|row| row.position)
            .collect();
        assert_eq!(positions, [0, 2]);
    }
}
