//! Warnings of the plan: content that can be sent but is probably wrong.

use std::fmt;

use customerio::Person;
use serde_json::Value;

use crate::display::counted;
use crate::input::{LineBreaks, Row};
use crate::mapping::{Identifier, Kind, Mapping};
use crate::suspect_id::SuspectId;

/// Counts of content that is probably wrong, each with the line of the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warnings {
    pub(crate) line_breaks: LineBreaks,
    /// The number of suspect ids, by `SuspectId as usize`.
    suspect_ids: [u64; SuspectId::ALL.len()],
    suspect_ids_line: u64,
    /// People with an attribute `email` that is not an e-mail address.
    emails: u64,
    emails_line: u64,
}

/// The name of the attribute that Customer.io uses as a person's address.
const EMAIL: &str = "email";

/// Returns why the person's id is suspect, if it is.
pub(crate) fn suspect_id(mapping: &Mapping, row: &Row) -> Option<SuspectId> {
    let person = &mapping.person;
    let id = row.fields.get(&person.column);
    id.filter(|_| person.identifier == Identifier::Id)
        .and_then(SuspectId::of)
}

/// Returns whether the person has an attribute `email` that is not an e-mail address.
pub(crate) fn is_odd_email(mapping: &Mapping, row: &Row) -> bool {
    let is_attribute = matches!(mapping.kind, Kind::People) && mapping.person.column != EMAIL;
    is_attribute && row.fields.get(EMAIL).is_some_and(is_not_an_address)
}

fn is_not_an_address(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && Person::email(text).is_err(),
        _ => true,
    }
}

impl Warnings {
    /// Counts a record that will be sent.
    pub(crate) fn add(&mut self, line: u64, suspect: Option<SuspectId>, is_odd_email: bool) {
        if let Some(suspect) = suspect {
            if self.suspect_ids.iter().all(|count| *count == 0) {
                self.suspect_ids_line = line;
            }
            self.suspect_ids[suspect as usize] += 1;
        }
        if is_odd_email {
            if self.emails == 0 {
                self.emails_line = line;
            }
            self.emails += 1;
        }
    }

    /// Returns the warnings that a person must confirm before anything is sent.
    pub(crate) fn questions(&self) -> impl Iterator<Item = String> {
        [self.rows_in_cells(), self.ids()].into_iter().flatten()
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
        (self.emails > 0).then(|| {
            let records = counted(self.emails, "record has", "records have");
            let line = self.emails_line;
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
        let lines = [
            self.line_breaks(),
            self.rows_in_cells(),
            self.ids(),
            self.emails(),
        ];
        lines
            .into_iter()
            .flatten()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
