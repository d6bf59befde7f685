//! Splits a CSV file into records and cells by RFC 4180, and reports where the file departs from
//! it.
//!
//! The crate `csv` reads every file, whatever its quotes: after a quote that is never closed, the
//! rest of the file is one cell. This tokenizer reports each such place as [`Damage`]. While only
//! a cell is damaged, the record is rejected and the next one is read. Once the end of the record
//! is uncertain ([`Damage::is_end_uncertain`]), later records may be pieces of a cell: they may be
//! checked for further damage, and must not be sent.

use std::io::{self, BufRead, BufReader};
use std::mem;

use super::line_count::LineCount;
use super::row::MAX_RECORD;
use super::source::Bytes;

/// The most bytes that are read after the first line break of a quoted cell.
///
/// Memory is bounded by [`MAX_RECORD`] before that. This bounds how long a stream with an open
/// quote is read in silence. With a smaller value, a long but correct cell is refused.
const MAX_QUOTED: usize = 16 * MAX_RECORD;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads records one after the other, in bounded memory.
pub(super) struct Tokenizer {
    source: BufReader<Bytes>,
    pub(super) delimiter: u8,
    /// The number of cells of a row, once the header was read.
    pub(super) width: Option<usize>,
    lines: LineCount,
    /// The bytes of the record. They are kept until the header is understood, since another
    /// delimiter may have to be tried on them, and for the rejects file.
    raw: Option<Vec<u8>>,
}

/// One record. Its cells are unquoted. The cells of a damaged record are incomplete.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// All cells, one after the other.
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// The first and the last line of the record.
    pub(super) lines: (u64, u64),
    pub(super) damage: Option<Damage>,
    /// The column at which the record exceeded [`MAX_RECORD`].
    pub(super) oversize: Option<usize>,
    /// Whether the record begins with a byte order mark, as inside files that were joined.
    pub(super) has_byte_order_mark: bool,
    /// The number of cells that hold line breaks.
    pub(super) multiline_cells: u64,
    /// Whether a line inside a cell looks like a row of the file.
    pub(super) has_rows_in_cell: bool,
}

/// A departure from the grammar, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) kind: DamageKind,
    pub(super) line: u64,
    /// Counted from 1.
    pub(super) column: usize,
    /// Whether the end of the record is uncertain.
    pub(super) is_end_uncertain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DamageKind {
    /// A quote inside a cell that does not begin with one.
    BareQuote,
    /// White space before the opening quote of a cell.
    SpaceBeforeQuote,
    /// Text between the closing quote and the end of the cell. Holds the line of the closing quote.
    TextAfterQuote(u64),
    /// The file ends inside quotes, or the cell exceeds [`MAX_QUOTED`].
    NeverClosed,
}

/// The state machine over the bytes of one record. The transitions are in [`Machine::step`],
/// [`Machine::step_in_line`] and [`Machine::step_in_quotes`].
struct Machine<'a> {
    delimiter: u8,
    width: Option<usize>,
    state: State,
    lines: LineCount,
    record: &'a mut Record,
    /// The number of bytes of the record so far, kept or not.
    length: usize,
    /// The line of the opening quote of the cell.
    quote_line: u64,
    /// The value of `length` at the first line break of the cell.
    first_break: Option<usize>,
    inner_line: InnerLine,
    /// The current column, counted from 1. It counts on when the record is too long to be kept.
    column: usize,
}

/// Where in a record the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a record.
    RecordStart,
    /// Before the first byte of a cell.
    CellStart,
    /// In a cell without quotes.
    Bare(Prefix),
    /// Inside the quotes of `="00123"`. Programs write a cell so to keep a spreadsheet from reading
    /// it as a number; its quotes are text.
    Formula,
    /// Inside the quotes of a cell.
    Quoted,
    /// After a quote inside quotes: it closes the cell, unless the next byte is a quote too.
    QuoteInQuoted,
    /// After damage: only quotes and the end of the line matter.
    Damaged { is_open: bool },
}

/// The content of an unquoted cell so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// White space only.
    Blank,
    /// An equals sign only.
    Equals,
    Text,
}

/// Features of a line inside a cell, whole or in part, that show whether it is a row of the file.
#[derive(Debug, Default)]
struct InnerLine {
    delimiters: usize,
    quoted_delimiters: usize,
    is_after_delimiter: bool,
    /// Prose has a space after each comma; rows have none.
    is_prose: bool,
}

// === impl Tokenizer ===

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

    /// Returns the bytes of the last record, as they are in the file. Later records keep none.
    pub(super) fn take_raw(&mut self) -> Vec<u8> {
        self.raw.take().unwrap_or_default()
    }

    /// Keeps the bytes of each record from now on, until the next one is read.
    pub(super) fn keep_raw(&mut self) {
        self.raw.get_or_insert_default();
    }

    /// Returns the bytes of the last record and of blank lines before it, at most [`MAX_RECORD`] of
    /// them, if they are kept.
    pub(super) fn raw(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or_default()
    }

    /// Returns the line of the next byte.
    pub(super) fn line(&self) -> u64 {
        self.lines.line()
    }

    /// Reads the next record and skips blank lines; returns `false` at the end of the file.
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
                let has_record = machine.finish();
                self.lines = machine.lines;
                return Ok(has_record);
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

// === impl Machine ===

impl<'a> Machine<'a> {
    fn new(delimiter: u8, width: Option<usize>, lines: LineCount, record: &'a mut Record) -> Self {
        Self {
            delimiter,
            width,
            state: State::RecordStart,
            lines,
            record,
            length: 0,
            quote_line: 0,
            first_break: None,
            inner_line: InnerLine::default(),
            column: 1,
        }
    }

    /// Reads up to the end of the record. Returns the number of bytes read, and whether the record
    /// has ended.
    fn run(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (index, byte) in chunk.iter().enumerate() {
            let is_done = self.step(*byte);
            self.lines.observe(*byte);
            if is_done {
                return (index + 1, true);
            }
        }
        (chunk.len(), false)
    }

    /// Reads the next byte; returns whether it ends the record.
    fn step(&mut self, byte: u8) -> bool {
        self.length += 1;
        let is_break = matches!(byte, b'\r' | b'\n');
        match self.state {
            // RecordStart => RecordStart: a blank line is no record.
            State::RecordStart if is_break => {
                self.length = 0;
                return false;
            }
            // RecordStart => (CellStart | Bare | Quoted): the byte begins the first cell.
            State::RecordStart => {
                self.record.lines.0 = self.lines.line();
                self.start_cell(byte);
            }
            // Quoted => (Quoted | QuoteInQuoted | end of the record after MAX_QUOTED)
            State::Quoted => return self.step_in_quotes(byte),
            // (CellStart | Bare | Formula | QuoteInQuoted | Damaged) => end of the record: outside
            // quotes, a record ends with its line.
            _ if is_break => {
                self.end_record();
                return true;
            }
            _ => self.step_in_line(byte),
        }
        false
    }

    /// Reads the next byte outside quotes, which is no line break.
    fn step_in_line(&mut self, byte: u8) {
        match self.state {
            // CellStart => (CellStart | Bare | Quoted)
            State::CellStart => self.start_cell(byte),
            // Bare => CellStart
            State::Bare(_) if byte == self.delimiter => self.end_cell(),
            // Bare => (Bare | Formula | Damaged | Quoted after a byte order mark)
            State::Bare(prefix) if byte == b'"' => self.quote_in_bare(prefix),
            // Bare(Blank) => Bare(Blank)
            State::Bare(Prefix::Blank) if is_space(byte) => self.keep(byte),
            // Bare => Bare(Text)
            State::Bare(_) => {
                self.state = State::Bare(Prefix::Text);
                self.keep(byte);
            }
            // Formula => CellStart, with damage: `="a,b"` is cut at the delimiter.
            State::Formula if byte == self.delimiter => {
                self.damage(DamageKind::BareQuote, self.lines.line(), false);
                self.end_cell();
            }
            // Formula => (Formula | Bare(Text) at the closing quote)
            State::Formula => {
                if byte == b'"' {
                    self.state = State::Bare(Prefix::Text);
                }
                self.keep(byte);
            }
            // QuoteInQuoted => Quoted: a doubled quote is one quote of the cell.
            State::QuoteInQuoted if byte == b'"' => {
                self.state = State::Quoted;
                self.keep(byte);
            }
            // QuoteInQuoted => CellStart
            State::QuoteInQuoted if byte == self.delimiter => self.end_cell(),
            // QuoteInQuoted => Damaged: text follows the closing quote. If the cell began on an
            // earlier line, its opening quote may be the stray one, and the lines between may be
            // rows.
            State::QuoteInQuoted => {
                let line = self.lines.line();
                let is_end_uncertain = self.quote_line != line;
                let kind = DamageKind::TextAfterQuote(line);
                self.damage(kind, self.quote_line, is_end_uncertain);
                self.state = State::Damaged { is_open: false };
            }
            // Damaged => Damaged: an odd number of quotes makes the end of the record uncertain.
            State::Damaged { is_open } if byte == b'"' => {
                self.state = State::Damaged { is_open: !is_open };
            }
            // Damaged => Damaged
            State::Damaged { .. } => {}
            State::RecordStart | State::Quoted => unreachable!("`step` handles these states"),
        }
    }

    /// Quoted => (Quoted | QuoteInQuoted): every byte but a quote is text of the cell.
    fn step_in_quotes(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => self.state = State::QuoteInQuoted,
            b'\r' | b'\n' => {
                if !self.lines.completes_crlf(byte) {
                    self.first_break.get_or_insert(self.length);
                    self.end_inner_line();
                }
                self.keep(byte);
            }
            _ => {
                let is_delimiter = byte == self.delimiter;
                self.inner_line.observe_quoted(is_delimiter, is_space(byte));
                self.keep(byte);
            }
        }
        let is_too_long = |start| self.length - start > MAX_QUOTED;
        if self.first_break.is_some_and(is_too_long) {
            self.damage(DamageKind::NeverClosed, self.quote_line, true);
            self.end_record();
            return true;
        }
        false
    }

    fn start_cell(&mut self, byte: u8) {
        if byte == self.delimiter {
            self.end_cell();
        } else if byte == b'"' {
            self.open_quote();
        } else {
            self.state = State::Bare(match byte {
                b' ' | b'\t' => Prefix::Blank,
                b'=' => Prefix::Equals,
                _ => Prefix::Text,
            });
            self.keep(byte);
        }
    }

    fn open_quote(&mut self) {
        self.state = State::Quoted;
        self.quote_line = self.lines.line();
    }

    fn quote_in_bare(&mut self, prefix: Prefix) {
        let line = self.lines.line();
        match prefix {
            Prefix::Blank => {
                self.damage(DamageKind::SpaceBeforeQuote, line, false);
                self.state = State::Damaged { is_open: true };
            }
            Prefix::Equals => {
                self.state = State::Formula;
                self.keep(b'"');
            }
            Prefix::Text if self.record.is_only_marks() => {
                self.record.strip_marks();
                self.open_quote();
            }
            // CSV readers agree that such a quote is text: cells and record end where they would
            // without it.
            Prefix::Text => {
                self.damage(DamageKind::BareQuote, line, false);
                self.keep(b'"');
            }
        }
    }

    /// Records damage. The first damage of a record is kept, unless a later one makes the end of
    /// the record uncertain.
    fn damage(&mut self, kind: DamageKind, line: u64, is_end_uncertain: bool) {
        let column = self.column;
        let damage = Damage {
            kind,
            line,
            column,
            is_end_uncertain,
        };
        match &self.record.damage {
            Some(first) if first.is_end_uncertain || !is_end_uncertain => {}
            _ => self.record.damage = Some(damage),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.length > MAX_RECORD {
            let column = self.column;
            self.record.oversize.get_or_insert(column);
        } else {
            self.record.text.push(byte);
        }
    }

    /// (Any state) => CellStart
    fn end_cell(&mut self) {
        self.inner_line.delimiters += 1;
        self.close_cell();
        self.column += 1;
        self.state = State::CellStart;
    }

    fn close_cell(&mut self) {
        self.record.multiline_cells += u64::from(self.first_break.take().is_some());
        if self.length > MAX_RECORD {
            let column = self.column;
            self.record.oversize.get_or_insert(column);
        } else {
            self.record.ends.push(self.record.text.len());
        }
    }

    /// Checks a line of the file that begins or ends inside a cell.
    fn end_inner_line(&mut self) {
        let line = mem::take(&mut self.inner_line);
        let is_row = |width| line.is_like_a_row(width);
        self.record.has_rows_in_cell |= self.width.is_some_and(is_row);
    }

    fn end_record(&mut self) {
        if self.state == State::Formula {
            self.damage(DamageKind::BareQuote, self.lines.line(), false);
        }
        if let (State::Damaged { is_open: true }, Some(damage)) =
            (self.state, &mut self.record.damage)
        {
            damage.is_end_uncertain = true;
        }
        self.record.lines.1 = self.lines.line();
        if self.record.multiline_cells > 0 || self.first_break.is_some() {
            self.end_inner_line();
        }
        self.close_cell();
        self.record.strip_marks();
    }

    /// Handles the end of the file; returns whether it ends a record.
    fn finish(&mut self) -> bool {
        if self.state == State::RecordStart {
            return false;
        }
        if self.state == State::Quoted {
            self.damage(DamageKind::NeverClosed, self.quote_line, true);
        }
        self.end_record();
        true
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

// === impl Record ===

impl Record {
    fn clear(&mut self) {
        // The two buffers keep their capacity.
        let (text, ends) = (mem::take(&mut self.text), mem::take(&mut self.ends));
        *self = Self {
            text,
            ends,
            ..Self::default()
        };
        self.text.clear();
        self.ends.clear();
    }

    /// Returns the number of cells.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..*end])
    }

    /// Returns whether the record holds byte order marks so far, and nothing else.
    fn is_only_marks(&self) -> bool {
        self.ends.is_empty()
            && !self.text.is_empty()
            && self.text.len().is_multiple_of(BYTE_ORDER_MARK.len())
            && self
                .text
                .chunks(BYTE_ORDER_MARK.len())
                .all(|chunk| chunk == BYTE_ORDER_MARK)
    }

    /// Removes byte order marks from the beginning.
    fn strip_marks(&mut self) {
        while self.text.starts_with(BYTE_ORDER_MARK) {
            self.has_byte_order_mark = true;
            self.text.drain(..BYTE_ORDER_MARK.len());
            for end in &mut self.ends {
                *end = end.saturating_sub(BYTE_ORDER_MARK.len());
            }
        }
    }
}

// === impl Damage ===

impl Damage {
    /// Returns the message: the damage, then the advice.
    pub(super) fn reason(&self) -> String {
        let advice = "double the quotes that belong to the cell";
        match self.kind {
            DamageKind::BareQuote => "there is a quote inside a cell that does not begin with \
                 one; put the cell in quotes and double the quote"
                .into(),
            DamageKind::SpaceBeforeQuote if self.is_end_uncertain => "the quote after white \
                 space is not closed on its line; remove the white space"
                .into(),
            DamageKind::SpaceBeforeQuote => {
                "there is white space before the opening quote; remove it".into()
            }
            DamageKind::TextAfterQuote(line) if line != self.line => format!(
                "the quote that opens here is closed on line {line}, with text after it; remove \
                 the quote, or {advice}"
            ),
            DamageKind::TextAfterQuote(_) if self.is_end_uncertain => format!(
                "text follows the closing quote, and another quote of the line stays open; \
                 {advice}"
            ),
            DamageKind::TextAfterQuote(_) => format!("text follows the closing quote; {advice}"),
            DamageKind::NeverClosed => format!(
                "the quote that opens here is never closed; close it or remove it, and {advice}"
            ),
        }
    }
}

// === impl InnerLine ===

impl InnerLine {
    fn observe_quoted(&mut self, is_delimiter: bool, is_space: bool) {
        self.is_prose |= self.is_after_delimiter && is_space;
        self.is_after_delimiter = is_delimiter;
        self.delimiters += usize::from(is_delimiter);
        self.quoted_delimiters += usize::from(is_delimiter);
    }

    /// Returns whether the line has the delimiters of a row. A stray quote at the end of one row
    /// and another one further down make one cell of the rows between.
    fn is_like_a_row(&self, width: usize) -> bool {
        !self.is_prose && self.quoted_delimiters > 0 && self.delimiters + 1 == width
    }
}

#[cfg(test)]
mod tests;
