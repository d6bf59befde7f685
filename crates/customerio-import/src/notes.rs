//! What the plan tells about the content of a file that can be sent and is yet hardly what somebody
//! meant.

use std::fmt;

use customerio::Person;
use serde_json::Value;

use crate::counted::counted;
use crate::doubt::Doubt;
use crate::input::{LineBreaks, Row};
use crate::mapping::{Identifier, Kind, Mapping};

/// What was noticed, counted, each with the line of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) line_breaks: LineBreaks,
    doubts: [u64; Doubt::ALL.len()],
    /// The line of the first id in doubt.
    doubt_line: u64,
    /// Attributes of people by the name `email` that are no address.
    emails: u64,
    email_line: u64,
}

/// What one record adds, where it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    line: u64,
    doubt: Option<Doubt>,
    is_email_odd: bool,
}

/// The name by which Customer.io looks for a person's address.
const EMAIL: &str = "email";

// === impl Note ===

impl Note {
    pub(crate) fn of(mapping: &Mapping, row: &Row) -> Self {
        let person = &mapping.person;
        let id = row.fields.get(&person.column);
        let is_about_people = matches!(mapping.kind, Kind::People) && person.column != EMAIL;
        Self {
            line: row.line,
            doubt: id
                .filter(|_| person.identifier == Identifier::Id)
                .and_then(Doubt::of),
            is_email_odd: is_about_people && row.fields.get(EMAIL).is_some_and(is_no_address),
        }
    }
}

fn is_no_address(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && Person::email(text).is_err(),
        _ => true,
    }
}

// === impl Notes ===

impl Notes {
    pub(crate) fn add(&mut self, note: Note) {
        if let Some(doubt) = note.doubt {
            if self.doubts.iter().all(|count| *count == 0) {
                self.doubt_line = note.line;
            }
            self.doubts[doubt as usize] += 1;
        }
        if note.is_email_odd {
            if self.emails == 0 {
                self.email_line = note.line;
            }
            self.emails += 1;
        }
    }

    /// Returns what nobody but a person can decide: whether to send it as it is.
    pub(crate) fn questions(&self) -> impl Iterator<Item = String> {
        [self.rows_in_cells(), self.ids()].into_iter().flatten()
    }

    fn rows_in_cells(&self) -> Option<String> {
        let LineBreaks {
            holding_rows,
            holding_rows_line,
            ..
        } = self.line_breaks;
        (holding_rows > 0).then(|| {
            let records = counted(
                holding_rows,
                "record holds what looks like rows inside of a cell",
                "records hold what looks like rows inside of a cell",
            );
            format!("rows in cells: {records}, the first on line {holding_rows_line}; is a quote missing?")
        })
    }

    fn ids(&self) -> Option<String> {
        let all: u64 = self.doubts.iter().sum();
        (all > 0).then(|| {
            let ids = counted(
                all,
                "looks as if a program had changed it",
                "look as if a program had changed them",
            );
            let kinds = Doubt::ALL.into_iter().zip(self.doubts);
            let kinds: Vec<_> = kinds
                .filter(|(_, count)| *count > 0)
                .map(|(doubt, count)| format!("{count} {doubt}"))
                .collect();
            let (line, kinds) = (self.doubt_line, kinds.join(", "));
            format!("ids: {ids}, the first on line {line}: {kinds}")
        })
    }

    fn line_breaks(&self) -> Option<String> {
        let LineBreaks { cells, line, .. } = self.line_breaks;
        (cells > 0).then(|| {
            let cells = counted(cells, "cell holds some", "cells hold some");
            format!("line breaks: {cells}, the first on line {line}; if none should, a quote is missing or one too many")
        })
    }

    fn emails(&self) -> Option<String> {
        (self.emails > 0).then(|| {
            let records = counted(self.emails, "record has", "records have");
            let line = self.email_line;
            format!(
                "e-mail: {records} an attribute \"email\" that is no address, the first on line {line}; it is sent as it is"
            )
        })
    }
}

impl fmt::Display for Notes {
    /// Writes a line for each kind of finding, if any.
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
