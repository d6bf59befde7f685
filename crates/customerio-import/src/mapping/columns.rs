use std::collections::HashSet;

use anyhow::{Result, bail};
use customerio::{Operation, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::events::{EventColumns, Moment};
use super::import_id::{ImportId, hex};
use super::people;
use super::person::PersonColumn;
use crate::input::{Header, Row};
use crate::reject::Reject;

/// Says what the columns of a file mean. Columns that are not named become attributes under their
/// own name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mapping {
    pub(crate) person: PersonColumn,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kind {
    People,
    Events(EventColumns),
}

/// One record, ready to be sent.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) operation: Operation,
}

impl Mapping {
    /// Returns the operation that a row means.
    ///
    /// # Errors
    ///
    /// Says by its line and column why a row cannot be sent.
    pub(crate) fn record(&self, import: &ImportId, row: Row) -> Result<Record, Reject> {
        let lines = (row.line, row.last_line);
        let mapped = match &self.kind {
            Kind::People => people::operation(&self.person, row).map(|operation| (operation, None)),
            Kind::Events(columns) => columns.operation(&self.person, import, row),
        };
        let (operation, timestamp) = mapped.map_err(|fault| fault.over(lines).at(lines.0))?;
        Ok(Record {
            line: lines.0,
            timestamp,
            operation,
        })
    }

    /// Refuses a header that lacks a column which the mapping names.
    pub(crate) fn check_header(&self, header: &Header) -> Result<()> {
        match self
            .columns()
            .into_iter()
            .find(|column| !header.columns.iter().any(|name| name == column))
        {
            None => Ok(()),
            Some(column) => bail!(
                "line {}: the header has no column {column:?}; {}",
                header.line,
                instead(column, &header.columns)
            ),
        }
    }

    /// Refuses a column that is given two meanings: the first would take its value away from the
    /// second.
    pub(crate) fn check_columns(&self) -> Result<()> {
        let mut seen = HashSet::new();
        match self.columns().into_iter().find(|name| !seen.insert(*name)) {
            None => Ok(()),
            Some(column) => {
                bail!("column {column:?} is named for two things; name another for one of them")
            }
        }
    }

    /// Returns the columns that the mapping names.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns = vec![self.person.column.as_str()];
        if let Kind::Events(events) = &self.kind {
            columns.extend(events.columns());
        }
        columns
    }

    /// Tells whether the events happen as they arrive.
    pub(crate) fn is_now(&self) -> bool {
        matches!(&self.kind, Kind::Events(columns) if columns.moment == Moment::Now)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::People => "people",
            Kind::Events(_) => "events",
        }
    }

    /// Returns a digest that differs where the mapping does.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(self.canonical()))
    }

    /// Derives the id of the import from the content of the file, the kind, and the mapping; where
    /// the file lies does not matter.
    pub(crate) fn import_id(&self, content: &[u8; 32]) -> ImportId {
        ImportId::derive(content, &self.canonical())
    }

    fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a mapping is text")
    }
}

/// Says what to name instead. It never repeats the header: where that is missing, the first line is
/// a person's data.
fn instead(column: &str, header: &[String]) -> String {
    let folded = |name: &str| name.trim().to_lowercase();
    match header.iter().find(|name| folded(name) == folded(column)) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "name another, and let the first line of the file name the columns".into(),
    }
}
