/// One record. Its cells are unquoted; of a damaged record they are incomplete.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) text: Vec<u8>,
    pub(super) ends: Vec<usize>,
    /// The lines on which it begins and ends.
    pub(super) lines: (u64, u64),
    pub(super) damage: Option<Damage>,
    /// The column in which the record became too long to be kept.
    pub(super) oversize: Option<usize>,
    /// Whether a byte order mark stands before it, as in the middle of files that were joined.
    pub(super) is_marked: bool,
    /// Cells that hold line breaks.
    pub(super) broken_cells: u64,
    /// Whether a line inside of a cell looks like a row of the file.
    pub(super) holds_rows: bool,
}

/// A departure from the grammar, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) kind: DamageKind,
    pub(super) line: u64,
    /// Counted from 1.
    pub(super) column: usize,
    /// Whether it is in doubt where the record ends.
    pub(super) is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DamageKind {
    /// A quote inside of a cell that does not begin with one.
    BareQuote,
    /// White space before the quote that opens a cell.
    SpaceBeforeQuote,
    /// Text between the closing quote and the end of the cell; the quote stands on this line.
    TextAfterQuote(u64),
    /// The file ends inside of quotes, or 16 MiB and line breaks have passed.
    NeverClosed,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Damage {
    /// Says what is wrong and what to do.
    pub(super) fn reason(&self) -> String {
        let advice = "double the quotes that belong to the cell";
        match self.kind {
        DamageKind::BareQuote => {
            "a quote stands inside of a cell that does not begin with one; put the cell in quotes and double the quote"
                .into()
        }
        DamageKind::SpaceBeforeQuote if self.is_lost => {
            "a quote that stands behind white space is not closed on its line; remove the white space".into()
        }
        DamageKind::SpaceBeforeQuote => {
            "white space stands before the opening quote; remove it".into()
        }
        DamageKind::TextAfterQuote(line) if line != self.line => format!(
            "the quote that opens here is closed on line {line}, with text behind it; remove the quote, or {advice}"
        ),
        DamageKind::TextAfterQuote(_) if self.is_lost => {
            format!("text follows the closing quote, and one more quote of the line stays open; {advice}")
        }
        DamageKind::TextAfterQuote(_) => format!("text follows the closing quote; {advice}"),
        DamageKind::NeverClosed => {
            format!("the quote that opens here is never closed; close it or remove it, and {advice}")
        }
    }
    }
}

impl Record {
    pub(super) fn clear(&mut self) {
        let (text, ends) = (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.ends),
        );
        *self = Self {
            text,
            ends,
            ..Self::default()
        };
        self.text.clear();
        self.ends.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..*end])
    }

    /// Tells whether the record holds nothing so far but byte order marks.
    pub(super) fn is_only_marks(&self) -> bool {
        self.ends.is_empty()
            && !self.text.is_empty()
            && self.text.len().is_multiple_of(BYTE_ORDER_MARK.len())
            && self
                .text
                .chunks(BYTE_ORDER_MARK.len())
                .all(|chunk| chunk == BYTE_ORDER_MARK)
    }

    pub(super) fn strip_marks(&mut self) {
        while self.text.starts_with(BYTE_ORDER_MARK) {
            self.is_marked = true;
            self.text.drain(..BYTE_ORDER_MARK.len());
            for end in &mut self.ends {
                *end = end.saturating_sub(BYTE_ORDER_MARK.len());
            }
        }
    }
}
