use std::fmt;
use std::io::{self, BufRead, BufReader};

use anyhow::{Context, Result, bail, ensure};

use super::bytes::Bytes;
use super::line_count::LineCount;
use super::object;
use super::row::{MAX_RECORD, Row};
use crate::reject::{Fault, Reject};

/// Reads one JSON object a line. Values keep their types; blank lines are no records.
pub(crate) struct JsonRows {
    source: BufReader<Bytes>,
    lines: LineCount,
    /// The line that the buffer holds.
    line: u64,
    position: u64,
    buffer: Vec<u8>,
    is_too_long: bool,
    /// Whether the buffer holds a line that was looked at and not yet given out.
    is_ahead: bool,
    is_at_end: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

// === impl JsonRows ===

impl JsonRows {
    /// Reads the first record, which tells what kind of JSON the file is.
    ///
    /// # Errors
    ///
    /// Fails on an array and on objects that go over several lines.
    pub(crate) fn new(source: Bytes) -> Result<Self> {
        let mut rows = Self {
            source: BufReader::with_capacity(64 * 1024, source),
            lines: LineCount::new(),
            line: 0,
            position: 0,
            buffer: Vec::new(),
            is_too_long: false,
            is_ahead: false,
            is_at_end: false,
        };
        rows.is_ahead = rows.advance().context("the first line cannot be read")?;
        rows.is_at_end = !rows.is_ahead;
        ensure!(
            !rows.text().trim_ascii().starts_with(b"["),
            "line {}: the file is a JSON array; write one object a line, as `jq -c '.[]'` does",
            rows.line
        );
        rows.check_whole()?;
        Ok(rows)
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

    /// Reads a line without its end, of which it keeps no more than the bound.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.is_too_long = false;
        self.line = self.lines.line();
        let mut is_some = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Ok(is_some);
            }
            // The line of a CRLF was given out at its CR.
            let skipped = usize::from(!is_some && self.lines.completes_crlf(chunk[0]));
            let chunk = &chunk[skipped..];
            let end = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let text = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_RECORD - self.buffer.len();
            self.is_too_long |= text.len() > room;
            self.buffer.extend_from_slice(&text[..text.len().min(room)]);
            if skipped > 0 {
                self.lines.see(b'\n');
            }
            // The text counts too: an LF behind it completes no CRLF.
            let ends = [text.last().copied(), end.map(|end| chunk[end])];
            for byte in ends.into_iter().flatten() {
                is_some = true;
                self.lines.see(byte);
            }
            let taken = skipped + text.len() + usize::from(end.is_some());
            self.source.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn text(&self) -> &[u8] {
        let first = self.line == 1;
        self.buffer
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| first)
            .unwrap_or(&self.buffer)
    }

    /// Refuses a line that is a piece of something longer: of an object that is printed over
    /// several lines, or of an array. Objects in it would be taken for records.
    fn check_whole(&self) -> Result<()> {
        let text = self.text().trim_ascii();
        if self.is_too_long || text.is_empty() {
            return Ok(());
        }
        let line = self.line;
        let is_ended = matches!(text[0], b'}' | b']' | b',');
        let is_begun = matches!(text[text.len() - 1], b'{' | b'[' | b',') && !ends_in_string(text);
        if is_ended {
            bail!(
                "line {line}: an object or array of an earlier line ends here; write one object a line, as `jq -c .` does"
            );
        }
        ensure!(
            !is_begun,
            "line {line}: an object goes on in the next line; write one object a line, as `jq -c .` does"
        );
        Ok(())
    }

    fn row(&self) -> Result<Row, Fault> {
        if self.is_too_long {
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
        Ok(Row {
            line: self.line,
            last_line: self.line,
            position: self.position,
            fields: object::read(text.trim_ascii_end())?,
        })
    }

    fn next_row(&mut self) -> Result<Result<Row, Reject>> {
        self.check_whole()?;
        let row = self.row().map_err(|fault| fault.at(self.line));
        self.position += 1;
        Ok(row)
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
        if self.is_at_end {
            return None;
        }
        let advanced = match std::mem::take(&mut self.is_ahead) {
            true => Ok(true),
            false => self.advance(),
        };
        let row =
            match advanced {
                Ok(false) => None,
                Ok(true) => Some(self.next_row()),
                Err(error) => Some(Err(error).with_context(|| {
                    format!("the input cannot be read from line {} on", self.line)
                })),
            };
        self.is_at_end = !matches!(row, Some(Ok(_)));
        row
    }
}

/// Tells whether a text ends inside of a string, as one does that was cut off.
fn ends_in_string(text: &[u8]) -> bool {
    let (mut is_inside, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_inside,
            b'"' => is_inside = !is_inside,
            _ => {}
        }
    }
    is_inside
}

#[cfg(test)]
mod tests;
