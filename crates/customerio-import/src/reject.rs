//! A record that cannot be sent, and its place in the input.

use std::fmt;

/// A record that cannot be sent: its line and the error.
///
/// The text contains names of columns and numbers of lines, never a cell: cells are people's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) line: u64,
    pub(crate) error: RecordError,
}

/// The error of a record, before its line is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordError {
    pub(crate) column: Option<Column>,
    /// The problem, then the advice: `has no value; add one or remove the record`.
    pub(crate) reason: String,
    /// The first and the last line of a record over several lines: they are all rejected with it.
    lines: Option<(u64, u64)>,
}

/// A column, by its name or, if it has none, by its number, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Name(String),
    Number(usize),
}

/// The most characters of a column's name that are shown. A name in a JSON line may be as long as
/// the line; 60 leave room for the message on a line of the terminal.
const MAX_NAME: usize = 60;

// === impl Reject ===

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.error)
    }
}

// === impl RecordError ===

impl RecordError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            column: None,
            reason: reason.into(),
            lines: None,
        }
    }

    pub(crate) fn named(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::at_column(Column::Name(column.into()), reason)
    }

    pub(crate) fn numbered(column: usize, reason: impl Into<String>) -> Self {
        Self::at_column(Column::Number(column), reason)
    }

    pub(crate) fn at_column(column: Column, reason: impl Into<String>) -> Self {
        Self {
            column: Some(column),
            reason: reason.into(),
            lines: None,
        }
    }

    /// Adds the lines of a record over several lines: they are all rejected with it.
    pub(crate) fn over(mut self, (first, last): (u64, u64)) -> Self {
        self.lines = (first < last).then_some((first, last));
        self
    }

    /// Returns the reason with the lines of a record over several lines.
    pub(crate) fn full_reason(&self) -> String {
        let reason = &self.reason;
        match self.lines {
            None => reason.clone(),
            Some((first, last)) => {
                format!("{reason}; the record goes from line {first} to line {last}")
            }
        }
    }

    pub(crate) fn at(self, line: u64) -> Reject {
        Reject { line, error: self }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column {column}: {}", self.full_reason()),
            None => f.write_str(&self.full_reason()),
        }
    }
}

// === impl Column ===

impl Column {
    /// Returns the whole name or the number, for files that scripts read.
    pub(crate) fn value(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl fmt::Display for Column {
    /// Formats a name quoted and escaped, at most [`MAX_NAME`] characters of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => match name.char_indices().nth(MAX_NAME) {
                Some((end, _)) => write!(f, "{:?}..", &name[..end]),
                None => write!(f, "{name:?}"),
            },
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
