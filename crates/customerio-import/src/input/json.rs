use std::fmt;
use std::io::{self, BufRead, BufReader};

use anyhow::{Context, Result, bail, ensure};

use super::line_count::LineCount;
use super::object;
use super::original::Original;
use super::row::{MAX_RECORD, Row};
use super::source::Bytes;
use crate::reject::{RecordError, Reject};

/// Reads one JSON object per line. Values keep their types; blank lines are skipped.
pub(crate) struct JsonRows {
    source: BufReader<Bytes>,
    lines: LineCount,
    /// The number of the line in the buffer.
    line: u64,
    position: u64,
    buffer: Vec<u8>,
    is_too_long: bool,
    /// Whether the buffer holds the first line, which was checked and not yet returned.
    has_first: bool,
    is_at_end: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

// === impl JsonRows ===

impl JsonRows {
    /// Reads the first record, which shows whether the file is JSON lines.
    ///
    /// # Errors
    ///
    /// Fails on an array, and on an object over several lines.
    pub(crate) fn new(source: Bytes) -> Result<Self> {
        let mut rows = Self {
            source: BufReader::with_capacity(64 * 1024, source),
            lines: LineCount::new(),
            line: 0,
            position: 0,
            buffer: Vec::new(),
            is_too_long: false,
            has_first: false,
            is_at_end: false,
        };
        rows.has_first = rows.advance().context("the first line cannot be read")?;
        rows.is_at_end = !rows.has_first;
        ensure!(
            !rows.text().trim_ascii().starts_with(b"["),
            "line {}: the file is a JSON array; write one object per line, as `jq -c '.[]'` does",
            rows.line
        );
        rows.check_whole()?;
        Ok(rows)
    }

    /// Reads up to the next line that is not blank; returns `false` at the end of the file.
    fn advance(&mut self) -> io::Result<bool> {
        while self.read_line()? {
            if !self.text().trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a line without its line break into the buffer, at most [`MAX_RECORD`] bytes of it.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.is_too_long = false;
        self.line = self.lines.line();
        let mut has_line = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Ok(has_line);
            }
            // The CR of a CRLF has ended its line already: the LF is skipped.
            let skipped = usize::from(!has_line && self.lines.completes_crlf(chunk[0]));
            let chunk = &chunk[skipped..];
            let end = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let text = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_RECORD - self.buffer.len();
            self.is_too_long |= text.len() > room;
            self.buffer.extend_from_slice(&text[..text.len().min(room)]);
            if skipped > 0 {
                self.lines.observe(b'\n');
            }
            // The last byte of the text is counted too: an LF after it completes no CRLF.
            let ends = [text.last().copied(), end.map(|end| chunk[end])];
            for byte in ends.into_iter().flatten() {
                has_line = true;
                self.lines.observe(byte);
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

    /// Fails on a line that is a piece of an array or of an object over several lines: objects
    /// inside it would be taken for records.
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
                "line {line}: an object or array that began on an earlier line ends here; write \
                 one object per line, as `jq -c .` does"
            );
        }
        ensure!(
            !is_begun,
            "line {line}: an object continues on the next line; write one object per line, as \
             `jq -c .` does"
        );
        Ok(())
    }

    /// Returns the record that was read last, as it is in the file.
    pub(super) fn original(&self) -> Original {
        match self.is_too_long {
            true => Original::of_text(self.text()),
            false => Original::of_json(self.text()),
        }
    }

    fn row(&self) -> Result<Row, RecordError> {
        if self.is_too_long {
            return Err(RecordError::new(
                "the line is longer than 1 MiB; write one object per line",
            ));
        }
        let text = str::from_utf8(self.text()).map_err(|error| {
            RecordError::numbered(
                error.valid_up_to() + 1,
                "is not UTF-8; save the file as UTF-8",
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
        let row = self.row().map_err(|error| error.at(self.line));
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
        let advanced = match std::mem::take(&mut self.has_first) {
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

/// Returns whether a text ends inside a string, as one that was cut off does.
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
