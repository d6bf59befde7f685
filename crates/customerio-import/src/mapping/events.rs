use customerio::{Event, EventId, Operation, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::fields::{attributes, take_text};
use super::import_id::ImportId;
use super::person::{Identifier, PersonColumn};
use super::time::TimeFormat;
use crate::input::Row;
use crate::reject::RecordError;

/// The columns of an event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventColumns {
    pub(crate) name: String,
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
    Column {
        column: String,
        #[serde(serialize_with = "as_text")]
        format: TimeFormat,
    },
}

/// The namespace of event ids that are made from a column. It does not depend on the file: an event
/// in two files is one event. A change would send every event of a repeated import a second time.
const COLUMN_NAMESPACE: &str = "cio-import event id column";

impl EventColumns {
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns = vec![self.name.as_str()];
        if let Moment::Column { column, .. } = &self.moment {
            columns.push(column);
        }
        columns.extend(self.event_id.as_deref());
        columns
    }

    /// Returns the operation that sends the event of a row, and the time of the event.
    pub(super) fn operation(
        &self,
        person: &PersonColumn,
        import: &ImportId,
        row: Row,
    ) -> Result<(Operation, Option<Timestamp>), RecordError> {
        let Row {
            position,
            mut fields,
            ..
        } = row;
        let identifier = person.identifier;
        let (person, person_key) = person.take(&mut fields)?;
        let name = take_text(&mut fields, &self.name)?;
        let timestamp = self.moment.take(&mut fields)?;
        let id = match &self.event_id {
            Some(column) => {
                let value = take_text(&mut fields, column)?;
                let key = event_key(&value, &name, identifier, &person_key);
                EventId::derive(COLUMN_NAMESPACE, key, timestamp)
            }
            None => EventId::derive(import.as_str(), format!("{position} {name}"), timestamp),
        };
        let event = Event::new(&name)
            .map_err(|error| RecordError::named(&self.name, error.to_string()))?
            .id(id)
            .attributes(attributes(fields)?);
        let event = match timestamp {
            Some(timestamp) => event.timestamp(timestamp),
            None => event,
        };
        let operation = Operation::event(&person, &event)
            .map_err(|error| RecordError::new(error.to_string()))?;
        Ok((operation, timestamp))
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
        let seconds = format.parse(&text).map_err(|_| {
            RecordError::named(
                column,
                format!(
                    "is not a time in the format {}; correct it or --timestamp-format",
                    format.as_str()
                ),
            )
        })?;
        let timestamp = Timestamp::new(seconds)
            .map_err(|_| RecordError::named(column, format.out_of_range()))?;
        Ok(Some(timestamp))
    }
}

fn as_text<S: Serializer>(format: &TimeFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.as_str())
}
