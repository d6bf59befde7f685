use super::inside_line::InsideLine;
use super::line_count::LineCount;
use super::record::{Damage, DamageKind, Record};
use super::row::MAX_RECORD;

/// So many bytes behind the first line break of a cell the reader stops to look for the end of its
/// quotes. Memory is bounded before, by [`MAX_RECORD`]; this bounds how long a stream with an open
/// quote is read without a word.
const MAX_QUOTED: usize = 16 * MAX_RECORD;

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a record.
    RecordStart,
    CellStart,
    /// In a cell without quotes, of which nothing but white space, an equals sign, or more was
    /// read.
    Bare(Begun),
    /// In the quotes of `="00123"`, by which programs keep a spreadsheet from reading a number.
    /// They are text.
    Formula,
    Quoted,
    /// After a quote inside of quotes: it closes the cell, or the next one doubles it.
    QuoteInQuoted,
    /// After damage: only quotes and the end of the line count.
    Damaged {
        is_open: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Blank,
    Equals,
    Text,
}

/// The state machine over the bytes of one record.
pub(super) struct Machine<'a> {
    delimiter: u8,
    width: Option<usize>,
    state: State,
    pub(super) lines: LineCount,
    record: &'a mut Record,
    /// Bytes of the record, kept or not.
    taken: usize,
    /// The line on which the quote of the cell stands.
    opened: u64,
    /// How much of the record was taken at the first line break of the cell.
    broken_at: Option<usize>,
    inside: InsideLine,
    /// The last column, where a record that is too long is not kept.
    column: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        delimiter: u8,
        width: Option<usize>,
        lines: LineCount,
        record: &'a mut Record,
    ) -> Self {
        Self {
            delimiter,
            width,
            state: State::RecordStart,
            lines,
            record,
            taken: 0,
            opened: 0,
            broken_at: None,
            inside: InsideLine::default(),
            column: 1,
        }
    }

    /// Takes bytes up to the end of the record. Returns how many, and whether that is reached.
    pub(super) fn run(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (index, byte) in chunk.iter().enumerate() {
            let is_done = self.step(*byte);
            self.lines.see(*byte);
            if is_done {
                return (index + 1, true);
            }
        }
        (chunk.len(), false)
    }

    /// Takes the next byte; returns whether it ends the record.
    fn step(&mut self, byte: u8) -> bool {
        self.taken += 1;
        let is_break = matches!(byte, b'\r' | b'\n');
        match self.state {
            // RecordStart => (RecordStart | what a cell starts with): blank lines are no records.
            State::RecordStart if is_break => {
                self.taken = 0;
                return false;
            }
            State::RecordStart => {
                self.record.lines.0 = self.lines.line();
                self.start_cell(byte);
            }
            State::Quoted => return self.step_in_quotes(byte),
            // Every other state ends with its line.
            _ if is_break => {
                self.end_record();
                return true;
            }
            State::CellStart => self.start_cell(byte),
            // Bare => (Bare | CellStart | Formula | Quoted after a byte order mark | Damaged)
            State::Bare(_) if byte == self.delimiter => self.end_cell(),
            State::Bare(begun) if byte == b'"' => self.quote_in_bare(begun),
            State::Bare(Begun::Blank) if is_space(byte) => self.keep(byte),
            State::Bare(_) => {
                self.state = State::Bare(Begun::Text);
                self.keep(byte);
            }
            // Formula => (Formula | Bare | CellStart)
            State::Formula if byte == self.delimiter => {
                self.damage(DamageKind::BareQuote, self.lines.line(), false);
                self.end_cell();
            }
            State::Formula => {
                if byte == b'"' {
                    self.state = State::Bare(Begun::Text);
                }
                self.keep(byte);
            }
            // QuoteInQuoted => (Quoted | CellStart | Damaged)
            State::QuoteInQuoted if byte == b'"' => {
                self.state = State::Quoted;
                self.keep(byte);
            }
            State::QuoteInQuoted if byte == self.delimiter => self.end_cell(),
            State::QuoteInQuoted => {
                let line = self.lines.line();
                let is_lost = self.opened != line;
                self.damage(DamageKind::TextAfterQuote(line), self.opened, is_lost);
                self.state = State::Damaged { is_open: false };
            }
            State::Damaged { is_open } if byte == b'"' => {
                self.state = State::Damaged { is_open: !is_open };
            }
            State::Damaged { .. } => {}
        }
        false
    }

    /// Quoted => (Quoted | QuoteInQuoted): everything but a quote is text of the cell.
    fn step_in_quotes(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => self.state = State::QuoteInQuoted,
            b'\r' | b'\n' => {
                if !self.lines.completes_crlf(byte) {
                    self.broken_at.get_or_insert(self.taken);
                    self.end_line();
                }
                self.keep(byte);
            }
            _ => {
                self.inside
                    .see_quoted(byte == self.delimiter, is_space(byte));
                self.keep(byte);
            }
        }
        if self
            .broken_at
            .is_some_and(|at| self.taken - at > MAX_QUOTED)
        {
            self.damage(DamageKind::NeverClosed, self.opened, true);
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
                b' ' | b'\t' => Begun::Blank,
                b'=' => Begun::Equals,
                _ => Begun::Text,
            });
            self.keep(byte);
        }
    }

    fn open_quote(&mut self) {
        self.state = State::Quoted;
        self.opened = self.lines.line();
    }

    fn quote_in_bare(&mut self, begun: Begun) {
        let line = self.lines.line();
        match begun {
            Begun::Blank => {
                self.damage(DamageKind::SpaceBeforeQuote, line, false);
                self.state = State::Damaged { is_open: true };
            }
            Begun::Equals => {
                self.state = State::Formula;
                self.keep(b'"');
            }
            Begun::Text if self.record.is_only_marks() => {
                self.record.strip_marks();
                self.open_quote();
            }
            // Readers agree that such a quote is text, so that cells and record end where they
            // would without it.
            Begun::Text => {
                self.damage(DamageKind::BareQuote, line, false);
                self.keep(b'"');
            }
        }
    }

    /// Notes damage. The first is told, unless a later one puts the end of the record in doubt.
    fn damage(&mut self, kind: DamageKind, line: u64, is_lost: bool) {
        let column = self.column;
        let damage = Damage {
            kind,
            line,
            column,
            is_lost,
        };
        match &self.record.damage {
            Some(first) if first.is_lost || !is_lost => {}
            _ => self.record.damage = Some(damage),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.taken > MAX_RECORD {
            let column = self.column;
            self.record.oversize.get_or_insert(column);
        } else {
            self.record.text.push(byte);
        }
    }

    fn end_cell(&mut self) {
        self.inside.delimiters += 1;
        self.close_cell();
        self.column += 1;
        self.state = State::CellStart;
    }

    fn close_cell(&mut self) {
        self.record.broken_cells += u64::from(self.broken_at.take().is_some());
        if self.taken > MAX_RECORD {
            let column = self.column;
            self.record.oversize.get_or_insert(column);
        } else {
            self.record.ends.push(self.record.text.len());
        }
    }

    /// Looks at a line of the file that begins or ends inside of a cell.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.inside);
        self.record.holds_rows |= self.width.is_some_and(|width| line.is_like_a_row(width));
    }

    fn end_record(&mut self) {
        if self.state == State::Formula {
            self.damage(DamageKind::BareQuote, self.lines.line(), false);
        }
        if let (State::Damaged { is_open: true }, Some(damage)) =
            (self.state, &mut self.record.damage)
        {
            damage.is_lost = true;
        }
        self.record.lines.1 = self.lines.line();
        if self.record.broken_cells > 0 || self.broken_at.is_some() {
            self.end_line();
        }
        self.close_cell();
        self.record.strip_marks();
    }

    /// Takes the end of the file; returns whether it ends a record.
    pub(super) fn finish(&mut self) -> bool {
        if self.state == State::RecordStart {
            return false;
        }
        if self.state == State::Quoted {
            self.damage(DamageKind::NeverClosed, self.opened, true);
        }
        self.end_record();
        true
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
