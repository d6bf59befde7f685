//! A record that is not sent, and where it stands.

use std::fmt;

/// Names the record that cannot be sent, what is wrong with it, and what to do.
///
/// The text holds names of columns and numbers of lines, never a cell: cells are people's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) line: u64,
    pub(crate) fault: Fault,
}

/// Says what is wrong with a record, before its line is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) column: Option<Column>,
    /// Ends in what to do: `has no value; give every row one or remove the row`.
    pub(crate) reason: String,
}

/// Points at a column by its name or, where it has none, by its number, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name(String),
    Number(usize),
}

/// How many characters of a column's name are shown: a key of a JSON line may be as long as the
/// line.
const SHOWN_NAME: usize = 60;

// === impl Reject ===

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.fault)
    }
}

// === impl Fault ===

impl Fault {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            column: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn named(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            column: Some(Column::Name(column.into())),
            reason: reason.into(),
        }
    }

    pub(crate) fn numbered(column: usize, reason: impl Into<String>) -> Self {
        Self {
            column: Some(Column::Number(column)),
            reason: reason.into(),
        }
    }

    pub(crate) fn at_column(column: Column, reason: impl Into<String>) -> Self {
        Self {
            column: Some(column),
            reason: reason.into(),
        }
    }

    /// Says over which lines the record goes, where it is more than one: they are rejected with it.
    pub(crate) fn over(mut self, (first, last): (u64, u64)) -> Self {
        if first < last {
            self.reason += &format!("; the record goes from line {first} to line {last}");
        }
        self
    }

    pub(crate) fn at(self, line: u64) -> Reject {
        Reject { line, fault: self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column {column}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

// === impl Column ===

impl Column {
    /// Returns a name as it is shown: escaped, and no longer than a line of the terminal holds.
    pub(crate) fn shown(name: &str) -> String {
        let (head, more) = cut(name);
        format!("{}{more}", head.escape_debug())
    }
}

fn cut(name: &str) -> (&str, &str) {
    match name.char_indices().nth(SHOWN_NAME) {
        Some((end, _)) => (&name[..end], ".."),
        None => (name, ""),
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                let (head, more) = cut(name);
                write!(f, "{head:?}{more}")
            }
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
