//! How a file is written, apart from its format.

use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use anyhow::{Result, bail};

use super::tokenizer::{Record, Tokenizer};

/// How to read a file, apart from its format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialect {
    /// The delimiter of CSV. Without one it is a comma, or the delimiter of a first line `sep=`.
    pub(crate) delimiter: Option<Delimiter>,
    /// The column that identifies the person, or the object.
    pub(crate) person: String,
    /// Whether to reject records that a plan would ask about.
    pub(crate) is_strict: bool,
}

/// The character between the cells of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delimiter(u8);

impl Delimiter {
    pub(super) const COMMA: Self = Self(b',');

    /// The delimiters that programs write, the likeliest alternative first.
    const OTHERS: [Self; 4] = [Self(b';'), Self(b'\t'), Self(b'|'), Self(b',')];

    pub(super) const fn byte(self) -> u8 {
        self.0
    }

    /// Parses a line such as `sep=;`, which sets the delimiter for spreadsheets. `record` was split
    /// at `current`. Returns nothing if it is no such line.
    pub(super) fn of_sep_line(record: &Record, current: Self) -> Option<Result<Self>> {
        let mut cells = record.cells();
        let first = cells.next()?;
        let is_sep_line = first.get(..4)?.eq_ignore_ascii_case(b"sep=");
        let rest = (&first[4..], cells.next());
        match rest {
            _ if !is_sep_line => None,
            // The delimiter itself splits the line in two.
            (b"", Some(b"")) => Some(Ok(current)),
            (text, None) => Some(str::from_utf8(text).unwrap_or_default().parse()),
            _ => None,
        }
    }

    /// Returns the delimiter with which the line has a column named `column`, and all columns.
    ///
    /// A line without that column is never shown: it may be a person's data.
    pub(super) fn with_column(
        line: &[u8],
        column: &str,
        instead_of: Self,
    ) -> Option<(Self, Vec<String>)> {
        let others = Self::OTHERS
            .into_iter()
            .filter(|other| *other != instead_of);
        others
            .map(|other| (other, other.columns(line)))
            .find(|(_, columns)| columns.len() > 1 && columns.iter().any(|name| name == column))
    }

    /// Returns a delimiter that the line contains, if it does not contain `instead_of`.
    pub(super) fn contained(line: &[u8], instead_of: Self) -> Option<Self> {
        let mut others = Self::OTHERS
            .into_iter()
            .filter(|other| *other != instead_of);
        others.find(|other| line.contains(&other.0) && !line.contains(&instead_of.0))
    }

    fn columns(self, line: &[u8]) -> Vec<String> {
        let mut record = Record::default();
        let mut tokenizer = Tokenizer::new(Box::new(Cursor::new(line.to_vec())), self.0);
        match tokenizer.read(&mut record) {
            Ok(true) if record.damage.is_none() => {
                let name = |cell| String::from_utf8_lossy(cell).into_owned();
                record.cells().map(name).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl FromStr for Delimiter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.as_bytes() {
            b"\\t" | b"tab" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(Self(*byte)),
            // Ctrl-A and the ASCII separators: databases export with them.
            [byte @ (b'\t' | b' ' | 1 | 0x1c..=0x1f)] => Ok(Self(*byte)),
            _ => bail!(
                "write one character, like ';' or '|', or the word tab; letters, digits and \
                 quotes are not delimiters"
            ),
        }
    }
}

impl fmt::Display for Delimiter {
    /// Formats the delimiter as the command line accepts it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("tab"),
            byte => write!(f, "'{}'", char::from(byte).escape_debug()),
        }
    }
}
