use std::collections::HashSet;

use anyhow::{Result, bail};
use customerio::{Operation, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::events::{EventColumns, Moment};
use super::import_id::{ImportId, hex};
use super::person::PersonColumn;
use crate::input::{Header, Row};
use crate::reject::Reject;

/// The meaning of the columns of a file. A column without a meaning becomes an attribute.
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

/// A record that can be sent.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) operation: Operation,
}

impl Mapping {
    /// Returns the operation of a row.
    ///
    /// # Errors
    ///
    /// Fails if the row cannot be sent. The error has its line and column.
    pub(crate) fn record(&self, import: &ImportId, row: Row) -> Result<Record, Reject> {
        // Kept apart: mapping consumes the row.
        let lines = (row.line, row.last_line);
        let mapped = match &self.kind {
            Kind::People => self
                .person
                .operation(row)
                .map(|operation| (operation, None)),
            Kind::Events(columns) => columns.operation(&self.person, import, row),
        };
        let (operation, timestamp) = mapped.map_err(|error| error.over(lines).at(lines.0))?;
        Ok(Record {
            line: lines.0,
            timestamp,
            operation,
        })
    }

    /// Fails if the header lacks a column of the mapping.
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
                advice(column, &header.columns)
            ),
        }
    }

    /// Fails if one column has two meanings: the first use would remove its value for the second.
    pub(crate) fn check_columns(&self) -> Result<()> {
        let mut seen = HashSet::new();
        match self.columns().into_iter().find(|name| !seen.insert(*name)) {
            None => Ok(()),
            Some(column) => {
                bail!("column {column:?} is named by two flags; name another column in one of them")
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

    /// Returns whether the events happen when the API receives them.
    pub(crate) fn is_now(&self) -> bool {
        matches!(&self.kind, Kind::Events(columns) if columns.moment == Moment::Now)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::People => "people",
            Kind::Events(_) => "events",
        }
    }

    /// Returns a digest of the mapping.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(self.serialized()))
    }

    /// Derives the id of the import from the content of the file, the kind of records and the
    /// mapping. The name of the file does not matter.
    pub(crate) fn import_id(&self, content: &[u8; 32]) -> ImportId {
        ImportId::derive(content, &self.serialized())
    }

    /// Returns the bytes that ids and digests are made from. A renamed field would change them.
    fn serialized(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a mapping can be serialized")
    }
}

/// Returns advice for a column that the header lacks. It shows no other name of the header: without
/// a header, the first line is a person's data.
fn advice(column: &str, header: &[String]) -> String {
    let folded = |name: &str| name.trim().to_lowercase();
    match header.iter().find(|name| folded(name) == folded(column)) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "name a column of the file; its first line must be the header".into(),
    }
}
