use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use anyhow::{Result, bail};

use super::record::Record;
use super::tokenizer::Tokenizer;

/// The character between the cells of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delimiter(u8);

impl Delimiter {
    pub(super) const COMMA: Self = Self(b',');

    /// Those that programs write where it is no comma.
    const OTHERS: [Self; 4] = [Self(b';'), Self(b'\t'), Self(b'|'), Self(b',')];

    pub(super) const fn byte(self) -> u8 {
        self.0
    }

    /// Reads the line `sep=;`, with which a spreadsheet is told the delimiter; `record` is the
    /// first of the file.
    pub(super) fn announced(record: &Record, by: Self) -> Option<Result<Self>> {
        let mut cells = record.cells();
        let said = cells.next()?;
        let is_announcement = said.get(..4)?.eq_ignore_ascii_case(b"sep=");
        let rest = (&said[4..], cells.next());
        match rest {
            _ if !is_announcement => None,
            // The delimiter itself cuts the line in two.
            (b"", Some(b"")) => Some(Ok(by)),
            (said, None) => Some(str::from_utf8(said).unwrap_or_default().parse()),
            _ => None,
        }
    }

    /// Returns the delimiter with which the first line holds a column of the name `column`, and all
    /// the columns then.
    ///
    /// Without that name the line may be a person's data, and is shown to nobody.
    pub(super) fn suited(
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

    /// Returns a delimiter that the line holds, where it lacks `instead_of`.
    pub(super) fn held(line: &[u8], instead_of: Self) -> Option<Self> {
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
            [byte @ (b'\t' | b' ' | 1 | 0x1c..=0x1f)] => Ok(Self(*byte)),
            _ => bail!(
                "write one character, like ';' or '|', or tab; a letter, a digit and a quote are none"
            ),
        }
    }
}

impl fmt::Display for Delimiter {
    /// Writes it as the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("tab"),
            byte => write!(f, "'{}'", char::from(byte).escape_debug()),
        }
    }
}
