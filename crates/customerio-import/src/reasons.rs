//! Groups the records that cannot be sent by their reason, for the plan.

use std::collections::HashMap;
use std::fmt;

use crate::display;
use crate::reject::{Column, Reject};

/// The most reasons that are told apart. Some reasons contain a number of the record, and a file
/// full of them must not fill the memory.
const MAX_REASONS: usize = 200;

/// The longest column and the longest reason that are kept, in bytes. A name in a JSON line may be
/// as long as the line, and 200 of them would fill the memory.
const MAX_LENGTH: usize = 2_000;

/// The most reasons that are shown. More lines would scroll the plan out of a terminal.
const MAX_SHOWN: usize = 10;

/// Why records cannot be sent, each reason with the number of records and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasons {
    groups: Vec<Group>,
    index: HashMap<(Option<Column>, String), usize>,
    /// Records with further reasons.
    others: u64,
}

/// The records with one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) column: Option<Column>,
    pub(crate) reason: String,
    pub(crate) records: u64,
    /// The line of the first one.
    pub(crate) line: u64,
}

impl Reasons {
    pub(crate) fn add(&mut self, reject: &Reject) {
        if is_long(reject) {
            self.others += 1;
            return;
        }
        let key = (reject.error.column.clone(), reject.error.reason.clone());
        if let Some(group) = self.index.get(&key) {
            self.groups[*group].records += 1;
            return;
        }
        if self.groups.len() == MAX_REASONS {
            self.others += 1;
            return;
        }
        self.groups.push(Group {
            column: key.0.clone(),
            reason: key.1.clone(),
            records: 1,
            line: reject.line,
        });
        self.index.insert(key, self.groups.len() - 1);
    }

    /// Returns the reasons, the most frequent one first, and the number of records without one of
    /// them.
    pub(crate) fn groups(&self) -> (Vec<&Group>, u64) {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|group| (u64::MAX - group.records, group.line));
        let hidden = groups.split_off(groups.len().min(MAX_SHOWN));
        let hidden: u64 = hidden.iter().map(|group| group.records).sum();
        (groups, hidden + self.others)
    }
}

fn is_long(reject: &Reject) -> bool {
    let column = match &reject.error.column {
        Some(Column::Name(name)) => name.len(),
        Some(Column::Number(_)) | None => 0,
    };
    column > MAX_LENGTH || reject.error.reason.len() > MAX_LENGTH
}

impl fmt::Display for Reasons {
    /// Writes a line for each reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (groups, others) = self.groups();
        for group in groups {
            let records = display::records(group.records);
            write!(f, "  {records}: ")?;
            if let Some(column) = &group.column {
                write!(f, "column {column}: ")?;
            }
            let first = match group.records {
                1 => "on line",
                _ => "the first on line",
            };
            writeln!(f, "{} ({first} {})", group.reason, group.line)?;
        }
        match others {
            0 => Ok(()),
            others => writeln!(f, "  {} for other reasons", display::records(others)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::RecordError;

    #[test]
    fn records_are_grouped_by_column_and_reason() {
        let mut reasons = Reasons::default();
        for (line, column) in [(2, "a"), (3, "b"), (5, "b")] {
            reasons.add(&RecordError::named(column, "has no value").at(line));
        }
        // The lines of a record over several lines do not make another reason.
        reasons.add(&RecordError::named("b", "has no value").over((6, 7)).at(6));
        let expected = "  \
            3 records: column \"b\": has no value (the first on line 3)\n  \
            1 record: column \"a\": has no value (on line 2)\n";
        assert_eq!(reasons.to_string(), expected);
    }

    #[test]
    fn memory_and_output_are_bounded() {
        let mut reasons = Reasons::default();
        for line in 0..1_000 {
            reasons.add(&RecordError::new(format!("takes {line} bytes")).at(line));
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        reasons.add(&RecordError::named(&long, "has no value").at(1));
        reasons.add(&RecordError::new(long).at(1));
        assert_eq!(reasons.groups.len(), MAX_REASONS);
        let shown = reasons.to_string();
        assert_eq!(shown.lines().count(), MAX_SHOWN + 1);
        assert!(
            shown.ends_with("  992 records for other reasons\n"),
            "{shown}"
        );
    }
}
