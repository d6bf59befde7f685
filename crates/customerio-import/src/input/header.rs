//! Reads the first record of a CSV file, which names the columns.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::delimiter::Delimiter;
use super::record::Record;
use super::rows::Dialect;
use super::tokenizer::Tokenizer;
use crate::reject::Column;

/// The names of the columns, and where they stand.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) line: u64,
    pub(crate) columns: Vec<String>,
}

/// Returns the delimiter and the header.
pub(super) fn read(tokenizer: &mut Tokenizer, dialect: &Dialect) -> Result<(Delimiter, Header)> {
    let mut record = Record::default();
    let delimiter = read_record(tokenizer, &mut record, dialect.delimiter)?;
    let cut = Cut {
        record: &record,
        raw: &tokenizer.take_raw(),
        delimiter,
        person: &dialect.person,
    };
    let header = Header {
        line: record.lines.0,
        columns: cut.columns()?,
    };
    Ok((delimiter, header))
}

/// Reads the record that names the columns: the first, or the one behind the line `sep=`. Returns
/// the delimiter.
fn read_record(
    tokenizer: &mut Tokenizer,
    record: &mut Record,
    given: Option<Delimiter>,
) -> Result<Delimiter> {
    let by = given.unwrap_or(Delimiter::COMMA);
    read_filled(tokenizer, record)?;
    let Some(announced) = Delimiter::announced(record, by) else {
        return Ok(by);
    };
    let announced = announced.context("line 1: `sep=` names no delimiter")?;
    ensure!(
        given.is_none_or(|given| given == announced),
        "line 1: `sep=` names {announced} as the delimiter; leave out --delimiter or correct the line"
    );
    tokenizer.delimiter = announced.byte();
    read_filled(tokenizer, record)?;
    Ok(announced)
}

/// Reads a record over blank lines, also one that holds a byte order mark.
fn read_filled(tokenizer: &mut Tokenizer, record: &mut Record) -> Result<()> {
    loop {
        let is_some = tokenizer
            .read(record)
            .context("the header cannot be read")?;
        ensure!(
            is_some,
            "line 1: the header is missing; the first line must name the columns"
        );
        let is_blank =
            record.is_marked && record.len() == 1 && record.cells().all(<[u8]>::is_empty);
        if !is_blank {
            return Ok(());
        }
    }
}

/// The record that names the columns, and how it was cut.
struct Cut<'a> {
    record: &'a Record,
    raw: &'a [u8],
    delimiter: Delimiter,
    person: &'a str,
}

// === impl Cut ===

impl Cut<'_> {
    fn columns(&self) -> Result<Vec<String>> {
        self.check_delimiter()?;
        let line = self.record.lines.0;
        if let Some(damage) = &self.record.damage {
            bail!(
                "line {}, column {}: {}{}",
                damage.line,
                damage.column,
                damage.reason(),
                self.other_delimiter()
            );
        }
        ensure!(
            self.record.oversize.is_none(),
            "line {line}: the header has more than 1 MiB; the first line must name the columns"
        );
        let mut seen = HashMap::new();
        let mut columns = Vec::new();
        for (number, name) in (1..).zip(self.record.cells()) {
            let Ok(name) = str::from_utf8(name) else {
                bail!(
                    "line {line}, column {number}: the header is not UTF-8; save the file in UTF-8"
                );
            };
            ensure!(
                !name.is_empty(),
                "line {line}, column {number}: the header has no name here; name the column or remove it"
            );
            // The name stays out: where the header is missing, the first line is a person's data.
            if let Some(first) = seen.insert(name, number) {
                bail!(
                    "line {line}, column {number}: has the name of column {first}; rename one of the two"
                );
            }
            columns.push(name.to_owned());
        }
        Ok(columns)
    }

    /// Refuses a header that has the person's column at another delimiter only.
    fn check_delimiter(&self) -> Result<()> {
        let (line, person) = (self.record.lines.0, self.person);
        let is_damaged = self.record.damage.is_some();
        if !is_damaged && self.record.cells().any(|name| name == person.as_bytes()) {
            return Ok(());
        }
        ensure!(
            !matches!(self.raw.trim_ascii_start().first(), Some(b'{' | b'[')),
            "line {line}: begins as JSON does; if it is JSON lines, add --format jsonl"
        );
        if let Some((other, columns)) = Delimiter::suited(self.raw, person, self.delimiter) {
            let columns: Vec<_> = columns.into_iter().map(Column::Name).collect();
            let columns: Vec<_> = columns.iter().map(Column::to_string).collect();
            bail!(
                "line {line}: the header has no column {} at {}; at {other} its columns are {}: add --delimiter {other}",
                Column::Name(person.to_owned()),
                self.delimiter,
                columns.join(", ")
            );
        }
        let other = self.other_delimiter();
        ensure!(
            is_damaged || other.is_empty() || person.is_empty(),
            "line {line}: the header has no column {}{other}",
            Column::Name(person.to_owned())
        );
        Ok(())
    }

    /// Says which delimiter the line may have, if one is likelier.
    fn other_delimiter(&self) -> String {
        match Delimiter::held(self.raw, self.delimiter) {
            Some(other) => format!(
                "; the line holds {other} and no {}: if that is the delimiter, add --delimiter {other}",
                self.delimiter
            ),
            None => String::new(),
        }
    }
}
