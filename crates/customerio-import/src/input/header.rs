//! Reads the first record of a CSV file, which names the columns.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::dialect::{Delimiter, Dialect};
use super::tokenizer::{Record, Tokenizer};
use crate::reject::Column;

/// The names of the columns, and their line.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) line: u64,
    pub(crate) columns: Vec<String>,
}

/// The record that names the columns, and how it was split.
struct HeaderRecord<'a> {
    record: &'a Record,
    raw: &'a [u8],
    delimiter: Delimiter,
    person: &'a str,
}

/// Returns the delimiter and the header.
pub(super) fn read(tokenizer: &mut Tokenizer, dialect: &Dialect) -> Result<(Delimiter, Header)> {
    let mut record = Record::default();
    let delimiter = read_record(tokenizer, &mut record, dialect.delimiter)?;
    let header_record = HeaderRecord {
        record: &record,
        raw: &tokenizer.take_raw(),
        delimiter,
        person: &dialect.person,
    };
    let header = Header {
        line: record.lines.0,
        columns: header_record.columns()?,
    };
    Ok((delimiter, header))
}

/// Reads the record that names the columns: the first one, or the one after a line `sep=`. Returns
/// the delimiter.
fn read_record(
    tokenizer: &mut Tokenizer,
    record: &mut Record,
    given: Option<Delimiter>,
) -> Result<Delimiter> {
    let current = given.unwrap_or(Delimiter::COMMA);
    read_nonblank(tokenizer, record)?;
    let Some(of_line) = Delimiter::of_sep_line(record, current) else {
        return Ok(current);
    };
    let of_line = of_line.context("line 1: `sep=` names no delimiter")?;
    ensure!(
        given.is_none_or(|given| given == of_line),
        "line 1: `sep=` sets the delimiter to {of_line}; leave out --delimiter or correct the line"
    );
    tokenizer.delimiter = of_line.byte();
    read_nonblank(tokenizer, record)?;
    Ok(of_line)
}

/// Reads a record and skips blank lines, also one that contains a byte order mark.
fn read_nonblank(tokenizer: &mut Tokenizer, record: &mut Record) -> Result<()> {
    loop {
        let has_record = tokenizer
            .read(record)
            .context("the header cannot be read")?;
        ensure!(
            has_record,
            "line 1: the header is missing; the first line must name the columns"
        );
        let is_blank =
            record.has_byte_order_mark && record.len() == 1 && record.cells().all(<[u8]>::is_empty);
        if !is_blank {
            return Ok(());
        }
    }
}

// === impl HeaderRecord ===

impl HeaderRecord<'_> {
    fn columns(&self) -> Result<Vec<String>> {
        self.check_delimiter()?;
        let line = self.record.lines.0;
        if let Some(damage) = &self.record.damage {
            bail!(
                "line {}, column {}: {}{}",
                damage.line,
                damage.column,
                damage.reason(),
                self.delimiter_advice()
            );
        }
        ensure!(
            self.record.oversize.is_none(),
            "line {line}: the header is longer than 1 MiB; the first line must name the columns"
        );
        let mut seen = HashMap::new();
        let mut columns = Vec::new();
        for (number, name) in (1..).zip(self.record.cells()) {
            let place = format!("line {line}, column {number}");
            let Ok(name) = str::from_utf8(name) else {
                bail!("{place}: the header is not UTF-8; save the file as UTF-8");
            };
            ensure!(
                !name.is_empty(),
                "{place}: the header has no name for this column; name it or remove the column"
            );
            // The name is not shown: without a header, the first line is a person's data.
            if let Some(first) = seen.insert(name, number) {
                bail!("{place}: has the same name as column {first}; rename one of the two");
            }
            columns.push(name.to_owned());
        }
        Ok(columns)
    }

    /// Fails if the header has the person's column only with another delimiter.
    fn check_delimiter(&self) -> Result<()> {
        let (line, person) = (self.record.lines.0, self.person);
        let is_damaged = self.record.damage.is_some();
        if !is_damaged && self.record.cells().any(|name| name == person.as_bytes()) {
            return Ok(());
        }
        ensure!(
            !matches!(self.raw.trim_ascii_start().first(), Some(b'{' | b'[')),
            "line {line}: looks like JSON; if the file is JSON lines, add --format jsonl"
        );
        if let Some((other, columns)) = Delimiter::with_column(self.raw, person, self.delimiter) {
            let columns: Vec<_> = columns.into_iter().map(Column::Name).collect();
            let columns: Vec<_> = columns.iter().map(Column::to_string).collect();
            bail!(
                "line {line}: with the delimiter {} the header has no column {}; with {other} its \
                 columns are {}: add --delimiter {other}",
                self.delimiter,
                Column::Name(person.to_owned()),
                columns.join(", ")
            );
        }
        let advice = self.delimiter_advice();
        ensure!(
            is_damaged || advice.is_empty() || person.is_empty(),
            "line {line}: the header has no column {}{advice}",
            Column::Name(person.to_owned())
        );
        Ok(())
    }

    /// Returns which delimiter the line probably has, if it is another one.
    fn delimiter_advice(&self) -> String {
        match Delimiter::contained(self.raw, self.delimiter) {
            Some(other) => format!(
                "; the line contains {other} and no {}: if {other} is the delimiter, add \
                 --delimiter {other}",
                self.delimiter
            ),
            None => String::new(),
        }
    }
}
