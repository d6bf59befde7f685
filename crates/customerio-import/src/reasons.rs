//! Groups records by the reason why they cannot be sent, or were not accepted.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::display;
use crate::reject::Column;

/// The most reasons that are told apart. Some reasons contain a number of the record, and a file
/// full of them must not fill the memory.
const MAX_REASONS: usize = 200;

/// The longest column and the longest reason that are kept, in bytes. A name in a JSON line may be
/// as long as the line, and 200 of them would fill the memory.
const MAX_LENGTH: usize = 2_000;

/// The most reasons that are shown. More lines would scroll the plan out of a terminal.
const MAX_SHOWN: usize = 10;

/// The reasons, each with the number of records and the first of them.
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

/// A reason as `--json` writes it. The names of the fields are public: scripts read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReasonJson {
    column: Option<String>,
    reason: String,
    records: u64,
    line: u64,
}

impl Reasons {
    /// Adds the record on `line`. Returns the number of records with this reason so far; all those
    /// above a bound have one number.
    pub(crate) fn add(&mut self, column: Option<&Column>, reason: &str, line: u64) -> u64 {
        if is_long(column, reason) {
            return self.add_other();
        }
        let key = (column.cloned(), reason.to_owned());
        if let Some(group) = self.index.get(&key) {
            let group = &mut self.groups[*group];
            group.records += 1;
            return group.records;
        }
        if self.groups.len() == MAX_REASONS {
            return self.add_other();
        }
        self.groups.push(Group {
            column: key.0.clone(),
            reason: key.1.clone(),
            records: 1,
            line,
        });
        self.index.insert(key, self.groups.len() - 1);
        1
    }

    fn add_other(&mut self) -> u64 {
        self.others += 1;
        self.others
    }

    /// Returns the reasons that [`Reasons::groups`] returns, for JSON.
    pub(crate) fn json(&self) -> Vec<ReasonJson> {
        let groups = self.groups().0.into_iter();
        groups
            .map(|group| ReasonJson {
                column: group.column.as_ref().map(Column::value),
                reason: group.reason.clone(),
                records: group.records,
                line: group.line,
            })
            .collect()
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

fn is_long(column: Option<&Column>, reason: &str) -> bool {
    let column = match column {
        Some(Column::Name(name)) => name.len(),
        Some(Column::Number(_)) | None => 0,
    };
    column > MAX_LENGTH || reason.len() > MAX_LENGTH
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

    #[test]
    fn records_are_grouped_by_column_and_reason() {
        let mut reasons = Reasons::default();
        let mut so_far = Vec::new();
        for (line, column) in [(2, "a"), (3, "b"), (5, "b"), (6, "b")] {
            let column = Column::Name(column.to_owned());
            so_far.push(reasons.add(Some(&column), "has no value", line));
        }
        assert_eq!(so_far, [1, 1, 2, 3]);
        let expected = "  \
            3 records: column \"b\": has no value (the first on line 3)\n  \
            1 record: column \"a\": has no value (on line 2)\n";
        assert_eq!(reasons.to_string(), expected);
        let json = serde_json::to_value(&reasons.json()[0]).unwrap();
        let expected = serde_json::json!(
            {"column": "b", "reason": "has no value", "records": 3, "line": 3}
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn memory_and_output_are_bounded() {
        let mut reasons = Reasons::default();
        for line in 0..1_000 {
            reasons.add(None, &format!("takes {line} bytes"), line);
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        reasons.add(Some(&Column::Name(long.clone())), "has no value", 1);
        assert_eq!(reasons.add(None, &long, 1), 802);
        assert_eq!(reasons.groups.len(), MAX_REASONS);
        let shown = reasons.to_string();
        assert_eq!(shown.lines().count(), MAX_SHOWN + 1);
        assert!(
            shown.ends_with("  992 records for other reasons\n"),
            "{shown}"
        );
    }
}
