use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result};
use serde_json::Value;

use super::bytes::Bytes;
use super::row::{MAX_RECORD, Row};
use crate::reject::{Fault, Reject};

/// Reads one JSON object a line. Values keep their types; blank lines are no records.
pub(crate) struct JsonRows {
    source: BufReader<Bytes>,
    line: u64,
    position: u64,
    buffer: Vec<u8>,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl JsonRows {
    pub(crate) fn new(source: Bytes) -> Self {
        Self {
            source: BufReader::with_capacity(64 * 1024, source),
            line: 0,
            position: 0,
            buffer: Vec::new(),
        }
    }

    /// Reads on to the next line that is not blank; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        while self.read_line()? {
            if !self.text().trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a line, of which it keeps no more than one byte over the bound.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let bound = MAX_RECORD as u64 + 1;
        if self
            .source
            .by_ref()
            .take(bound)
            .read_until(b'\n', &mut self.buffer)?
            == 0
        {
            return Ok(false);
        }
        self.line += 1;
        if self.is_too_long() {
            self.source.skip_until(b'\n')?;
        }
        Ok(true)
    }

    fn is_too_long(&self) -> bool {
        self.buffer.len() > MAX_RECORD && !self.buffer.ends_with(b"\n")
    }

    fn text(&self) -> &[u8] {
        let first = self.line == 1;
        self.buffer
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| first)
            .unwrap_or(&self.buffer)
    }

    fn row(&self) -> Result<Row, Fault> {
        if self.is_too_long() {
            return Err(Fault::new(
                "the line has more than 1 MiB; write one object a line",
            ));
        }
        let text = str::from_utf8(self.text()).map_err(|error| {
            Fault::numbered(
                error.valid_up_to() + 1,
                "is not UTF-8; save the file in UTF-8",
            )
        })?;
        match serde_json::from_str(text.trim_ascii_end()) {
            Ok(Value::Object(fields)) => Ok(Row {
                line: self.line,
                position: self.position,
                fields,
            }),
            Ok(_) => Err(Fault::new(
                "is JSON, but no object; write one object a line",
            )),
            Err(error) => Err(Fault::numbered(
                error.column(),
                "is no JSON object; write one object a line",
            )),
        }
    }
}

impl fmt::Debug for JsonRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRows")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Iterator for JsonRows {
    type Item = Result<Result<Row, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(false) => None,
            Ok(true) => {
                let row = self.row().map_err(|fault| fault.at(self.line));
                self.position += 1;
                Some(Ok(row))
            }
            Err(error) => Some(
                Err(error)
                    .with_context(|| format!("the input cannot be read after line {}", self.line)),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares each record with `line: fields` or `line: fault`.
    fn check(content: &[u8], expected: &[&str]) {
        let shown = |row: Result<Result<Row, Reject>>| match row.unwrap() {
            Ok(row) => format!("{}: {}", row.line, Value::Object(row.fields)),
            Err(reject) => reject.to_string(),
        };
        let rows = JsonRows::new(Box::new(io::Cursor::new(content.to_vec())));
        assert_eq!(rows.map(shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_keep_their_types() {
        check(
            br#"{"a":1,"b":true,"c":[null,""],"d":null,"e":"","f":0}"#,
            &[r#"1: {"a":1,"b":true,"c":[null,""],"d":null,"e":"","f":0}"#],
        );
    }

    #[test]
    fn blank_lines_are_no_records_but_count_as_lines() {
        check(
            b"\xef\xbb\xbf\n{}\r\n  \n\n{\"a\":1}",
            &["2: {}", r#"5: {"a":1}"#],
        );
    }

    #[test]
    fn lines_that_are_no_object_are_rejected_and_the_rest_goes_on() {
        check(
            b"[1]\n{\"a\":\n\"x\xff\"\n{}\n",
            &[
                "1: is JSON, but no object; write one object a line",
                "2: column 5: is no JSON object; write one object a line",
                "3: column 3: is not UTF-8; save the file in UTF-8",
                "4: {}",
            ],
        );
    }

    #[test]
    fn a_line_over_the_bound_is_rejected_and_the_rest_goes_on() {
        let content = format!("{{\"a\":\"{}\"}}\n{{}}\n", "x".repeat(2 * MAX_RECORD));
        check(
            content.as_bytes(),
            &[
                "1: the line has more than 1 MiB; write one object a line",
                "2: {}",
            ],
        );
    }
}
