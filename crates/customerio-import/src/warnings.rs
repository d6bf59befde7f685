//! Warnings of the plan: content that can be sent but is probably wrong.

use std::collections::BTreeMap;
use std::fmt;

use crate::display::counted;
use crate::input::LineBreaks;
use crate::mapping::Notes;
use crate::reject::Column;
use crate::repeats::{self, Repeats};
use crate::suspect_id::SuspectId;

/// Counts of content that is probably wrong, each with the line of the first record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warnings {
    pub(crate) line_breaks: LineBreaks,
    pub(crate) repeats: Option<Repeats>,
    /// The number of suspect ids, by `SuspectId as usize`.
    suspect_ids: [u64; SuspectId::ALL.len()],
    suspect_ids_line: u64,
    /// People with an attribute `email` that is not an e-mail address.
    emails: Count,
    /// Values that Customer.io reads as booleans and that are none, by their column.
    booleans: BTreeMap<String, Count>,
    /// Records that remove attributes.
    removals: Count,
    removed: u64,
}

/// A number of records, and the line of the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    records: u64,
    line: u64,
}

/// The most columns whose booleans are counted. JSON lines may have names of their own each.
const MAX_BOOLEANS: usize = 20;

impl Count {
    fn add(&mut self, line: u64) {
        if self.records == 0 {
            self.line = line;
        }
        self.records += 1;
    }
}

impl Warnings {
    /// Counts a record that will be sent.
    pub(crate) fn add(&mut self, line: u64, notes: Notes) {
        if let Some((_, suspect)) = notes.suspect_id {
            if self.suspect_ids.iter().all(|count| *count == 0) {
                self.suspect_ids_line = line;
            }
            self.suspect_ids[suspect as usize] += 1;
        }
        if notes.has_odd_email {
            self.emails.add(line);
        }
        for column in notes.odd_booleans {
            if self.booleans.len() < MAX_BOOLEANS || self.booleans.contains_key(&column) {
                self.booleans.entry(column).or_default().add(line);
            }
        }
        if notes.removals > 0 {
            self.removals.add(line);
            self.removed += notes.removals;
        }
    }

    /// Returns the warnings that a person must confirm before anything is sent.
    pub(crate) fn questions(&self) -> Vec<String> {
        let first = [self.rows_in_cells(), self.ids()];
        let questions = first.into_iter().flatten().chain(self.booleans());
        questions.chain(self.removals()).collect()
    }

    /// Returns all warnings, in the order of the plan.
    pub(crate) fn all(&self) -> Vec<String> {
        let [first, last] = [
            [self.line_breaks(), self.rows_in_cells(), self.ids()],
            [self.removals(), self.repeats(), self.emails()],
        ];
        let first = first.into_iter().flatten().chain(self.booleans());
        first.chain(last.into_iter().flatten()).collect()
    }

    fn booleans(&self) -> impl Iterator<Item = String> {
        self.booleans.iter().map(|(column, count)| {
            let records = counted(count.records, "record has", "records have");
            let (column, line) = (Column::Name(column.clone()), count.line);
            format!(
                "booleans: {records} a value in {column} that Customer.io does not read as a \
                 boolean, the first on line {line}; people who said no may be subscribed: correct \
                 the values or add --type {column}=bool"
            )
        })
    }

    fn removals(&self) -> Option<String> {
        (self.removed > 0).then(|| {
            let values = counted(self.removed, "attribute is", "attributes are");
            let records = counted(self.removals.records, "record", "records");
            let line = self.removals.line;
            format!(
                "removals: {values} removed by {records} with empty values, the first on line \
                 {line} (--empty remove)"
            )
        })
    }

    fn repeats(&self) -> Option<String> {
        Some(match self.repeats? {
            Repeats::NotLookedFor => format!(
                "repeats: not looked for, because the file has more than {} records",
                repeats::MAX_RECORDS
            ),
            Repeats::Found {
                records,
                line,
                earlier,
            } => {
                let records = counted(records, "record has", "records have");
                format!(
                    "repeats: {records} the identifier of an earlier record, the first on line \
                     {line} (as line {earlier}); they become one, and later values replace earlier ones"
                )
            }
        })
    }

    fn rows_in_cells(&self) -> Option<String> {
        let LineBreaks {
            rows_in_cells,
            rows_in_cells_line: line,
            ..
        } = self.line_breaks;
        (rows_in_cells > 0).then(|| {
            let records = counted(rows_in_cells, "record has", "records have");
            format!(
                "rows in cells: {records} a cell with lines that look like rows, the first on line \
                 {line}; is a quote missing?"
            )
        })
    }

    fn ids(&self) -> Option<String> {
        let all: u64 = self.suspect_ids.iter().sum();
        (all > 0).then(|| {
            let kinds = SuspectId::ALL.into_iter().zip(self.suspect_ids);
            let kinds: Vec<_> = kinds
                .filter(|(_, count)| *count > 0)
                .map(|(suspect, count)| format!("{count} {suspect}"))
                .collect();
            let (line, kinds) = (self.suspect_ids_line, kinds.join(", "));
            format!(
                "ids: {all} may have been changed by a program, the first on line {line}: {kinds}"
            )
        })
    }

    fn line_breaks(&self) -> Option<String> {
        let LineBreaks { cells, line, .. } = self.line_breaks;
        (cells > 0).then(|| {
            let cells = counted(cells, "cell contains", "cells contain");
            format!(
                "line breaks: {cells} line breaks, the first on line {line}; if none should, a \
                 quote is missing or there is one too many"
            )
        })
    }

    fn emails(&self) -> Option<String> {
        let Count { records, line } = self.emails;
        (records > 0).then(|| {
            let records = counted(records, "record has", "records have");
            format!(
                "e-mail: {records} an attribute \"email\" that is not an e-mail address, the first \
                 on line {line}; it is sent unchanged"
            )
        })
    }
}

impl fmt::Display for Warnings {
    /// Writes a line for each kind of warning, if there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all()
            .into_iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
