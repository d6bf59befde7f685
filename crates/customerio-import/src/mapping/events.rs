use customerio::{Event, EventId, Operation, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::columns::{Mapped, invalid};
use super::fields::{Source, parse_time, take_or_constant, take_text};
use super::import_id::ImportId;
use super::notes::Notes;
use super::person::{Identifier, PersonColumn};
use super::time::TimeFormat;
use super::values::{ValueRules, attributes};
use crate::reject::RecordError;

/// The columns of an event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventColumns {
    pub(crate) name: Source,
    pub(crate) moment: Moment,
    /// The column from which event ids are made, with name and person. Without one, they are made
    /// from the position in the file.
    pub(crate) event_id: Option<String>,
}

/// When the events happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Moment {
    /// When the API receives them.
    Now,
    /// At the time in a column.
    Column { column: String, format: TimeFormat },
}

/// The namespace of event ids that are made from a column. It does not depend on the file: an event
/// in two files is one event. A change would send every event of a repeated import a second time.
const COLUMN_NAMESPACE: &str = "cio-import event id column";

impl EventColumns {
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<_> = self.name.column().into_iter().collect();
        if let Moment::Column { column, .. } = &self.moment {
            columns.push(column);
        }
        columns.extend(self.event_id.as_deref());
        columns
    }

    /// Returns the meaning of a column, if it has one of its own.
    pub(super) fn role(&self, column: &str) -> Option<String> {
        let is = |other: Option<&str>| other == Some(column);
        match &self.moment {
            _ if is(self.name.column()) => Some("the event's name".into()),
            _ if is(self.event_id.as_deref()) => Some("the key of the event's id".into()),
            Moment::Column { column, format } if is(Some(column)) => {
                Some(format!("the event's time, as {}", format.as_str()))
            }
            Moment::Column { .. } | Moment::Now => None,
        }
    }

    /// Returns the operation that sends the event of a row.
    pub(super) fn operation(
        &self,
        person: &PersonColumn,
        values: &ValueRules,
        import: &ImportId,
        position: u64,
        mut fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let identifier = person.identifier;
        let (person, person_key) = person.take(&mut fields)?;
        let name = take_or_constant(&mut fields, &self.name)?;
        let timestamp = self.moment.take(&mut fields)?;
        let id = match &self.event_id {
            Some(column) => {
                let value = take_text(&mut fields, column)?;
                let key = event_key(&value, &name, identifier, &person_key);
                let namespace = import.namespace(COLUMN_NAMESPACE);
                EventId::derive(namespace.as_bytes(), key, timestamp)
            }
            None => {
                let namespace = import.namespace(import.as_str());
                EventId::derive(
                    namespace.as_bytes(),
                    format!("{position} {name}"),
                    timestamp,
                )
            }
        };
        let event = Event::new(&name)
            .map_err(|error| self.invalid_name(error.to_string()))?
            .id(id)
            .attributes(attributes(&values.resolve(fields)?)?);
        let event = match timestamp {
            Some(timestamp) => event.timestamp(timestamp),
            None => event,
        };
        Ok(Mapped {
            operation: Operation::event(&person, &event).map_err(|error| invalid(&error))?,
            timestamp,
            notes: Notes::default(),
        })
    }

    fn invalid_name(&self, reason: String) -> RecordError {
        match self.name.column() {
            Some(column) => RecordError::named(column, reason),
            None => RecordError::new(format!("--name: {reason}")),
        }
    }
}

/// Returns the bytes from which an event id is made, apart from the time.
///
/// The API compares ids over the whole workspace. The value of the column alone would give the same
/// id to two events of one order, and to events of two people.
fn event_key(value: &str, name: &str, identifier: Identifier, person_key: &str) -> Vec<u8> {
    serde_json::to_vec(&(value, name, identifier, person_key)).expect("text can be serialized")
}

impl Moment {
    fn take(&self, fields: &mut Map<String, Value>) -> Result<Option<Timestamp>, RecordError> {
        let Self::Column { column, format } = self else {
            return Ok(None);
        };
        let text = take_text(fields, column)?;
        parse_time(column, &text, format).map(Some)
    }
}
