//! Reads the file of the import once: finds the people of failures, and chooses a sample.

use anyhow::{Context, Result};
use customerio::Person;
use serde_json::{Map, Value};

use super::failures::Finder;
use super::sample::Sample;
use super::settings::People;
use crate::input::Row;
use crate::mapping::ImportId;

/// What a file has.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) finder: Finder,
    pub(super) sample: Option<Sample>,
    pub(super) records: u64,
}

/// Reads the file. Without a sample, reading ends once everyone is found.
///
/// # Errors
///
/// Fails if the file cannot be read to its end, and if it has no such column.
pub(super) fn read(
    people: &People,
    mut finder: Finder,
    mut sample: Option<Sample>,
) -> Result<Found> {
    let named = || people.input.to_string();
    // It was compared with the journal a moment ago: reading fails if it has changed since.
    let rows = people.input.rows_to_check(people.digest)?;
    let mut records = 0;
    for row in rows {
        // A row that cannot be read was rejected by the import.
        let Ok(row) = row.with_context(named)? else {
            records += 1;
            continue;
        };
        records += 1;
        if let Ok((_, key)) = people.mapping.person_of(row.clone()) {
            finder.observe(&key, row.line);
        }
        match &mut sample {
            Some(sample) => {
                let (position, line) = (row.position, row.line);
                sample.offer(position, line, || record(people, row));
            }
            None if finder.is_done() => break,
            None => {}
        }
    }
    Ok(Found {
        finder,
        sample,
        records,
    })
}

/// Returns the person and the attributes of a record, unless the import has rejected it.
fn record(people: &People, row: Row) -> Option<(Person, Map<String, Value>)> {
    let (person, _) = people.mapping.person_of(row.clone()).ok()?;
    // The id of the import is a part of event ids only.
    let record = people.mapping.record(&ImportId::new("verify"), row).ok()?;
    let operation: Value = serde_json::from_slice(record.operation.json()).ok()?;
    let attributes = operation.get("attributes").and_then(Value::as_object);
    Some((person, attributes.cloned().unwrap_or_default()))
}
