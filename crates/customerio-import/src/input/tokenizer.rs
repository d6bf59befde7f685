//! Cuts a CSV file into cells by the grammar of RFC 4180, and says where the file departs from it.
//!
//! The crate `csv` reads every file, whatever its quotes: a quote that is never closed makes one
//! cell of the rest of the file. Here each departure is told. Where the end of the record is in
//! doubt, too, the damage is lost, and what follows may be told as well but must not be sent: it
//! may be a piece of a cell.

use std::io::{self, BufRead, BufReader};

use super::bytes::Bytes;
use super::line_count::LineCount;
use super::machine::Machine;
use super::record::Record;
use super::row::MAX_RECORD;

/// Reads records one after the other, into memory that is bounded.
pub(super) struct Tokenizer {
    source: BufReader<Bytes>,
    pub(super) delimiter: u8,
    /// The number of cells that a row should have, once it is known.
    pub(super) width: Option<usize>,
    lines: LineCount,
    /// The record as it stands in the file, until the header is understood: it may have to be cut
    /// otherwise.
    raw: Option<Vec<u8>>,
}

impl Tokenizer {
    pub(super) fn new(source: Bytes, delimiter: u8) -> Self {
        Self {
            source: BufReader::with_capacity(64 * 1024, source),
            delimiter,
            width: None,
            lines: LineCount::new(),
            raw: Some(Vec::new()),
        }
    }

    /// Returns the bytes of the record read last, as they stand in the file, and remembers none
    /// from now on.
    pub(super) fn take_raw(&mut self) -> Vec<u8> {
        self.raw.take().unwrap_or_default()
    }

    /// Returns the line on which the next byte stands.
    pub(super) fn line(&self) -> u64 {
        self.lines.line()
    }

    /// Reads the next record, over blank lines; `false` at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> io::Result<bool> {
        record.clear();
        if let Some(raw) = &mut self.raw {
            raw.clear();
        }
        let mut machine = Machine::new(self.delimiter, self.width, self.lines, record);
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                let is_some = machine.finish();
                self.lines = machine.lines;
                return Ok(is_some);
            }
            let (taken, is_done) = machine.run(chunk);
            self.lines = machine.lines;
            if let Some(raw) = &mut self.raw {
                let room = MAX_RECORD.saturating_sub(raw.len());
                raw.extend_from_slice(&chunk[..taken.min(room)]);
            }
            self.source.consume(taken);
            if is_done {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
