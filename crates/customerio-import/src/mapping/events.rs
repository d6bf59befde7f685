use customerio::{Event, EventId, Operation, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::fields::{attributes, take_person, take_text};
use super::import_id::ImportId;
use super::person::{Identifier, PersonColumn};
use super::time::TimeFormat;
use crate::input::Row;
use crate::reject::Fault;

/// Says which columns make an event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventColumns {
    pub(crate) name: String,
    pub(crate) moment: Moment,
    /// The column from whose values, with name and person, repeated events are told; without one,
    /// the place in the file tells.
    pub(crate) event_id: Option<String>,
}

/// Says when the events happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Moment {
    /// As they arrive.
    Now,
    Column {
        column: String,
        #[serde(serialize_with = "as_text")]
        format: TimeFormat,
    },
}

/// The namespace of event ids that come from a column. They do not depend on the file, so that an
/// event that stands in two files is one event.
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

    /// Maps a row to the operation that sends its event, and the moment of the event.
    pub(super) fn operation(
        &self,
        person: &PersonColumn,
        import: &ImportId,
        row: Row,
    ) -> Result<(Operation, Option<Timestamp>), Fault> {
        let Row {
            position,
            mut fields,
            ..
        } = row;
        let identifier = person.identifier;
        let (person, who) = take_person(&mut fields, person)?;
        let name = take_text(&mut fields, &self.name)?;
        let timestamp = self.moment.take(&mut fields)?;
        let id = match &self.event_id {
            Some(column) => {
                let value = take_text(&mut fields, column)?;
                let key = column_key(&value, &name, identifier, &who);
                EventId::derive(COLUMN_NAMESPACE, key, timestamp)
            }
            None => EventId::derive(import.as_str(), format!("{position} {name}"), timestamp),
        };
        let event = Event::new(&name)
            .map_err(|error| Fault::named(&self.name, error.to_string()))?
            .id(id)
            .attributes(attributes(fields)?);
        let event = match timestamp {
            Some(timestamp) => event.timestamp(timestamp),
            None => event,
        };
        let operation =
            Operation::event(&person, &event).map_err(|error| Fault::new(error.to_string()))?;
        Ok((operation, timestamp))
    }
}

/// Returns what the id of an event is made from, apart from its time. The API compares ids over the
/// whole workspace, so the value of the column alone would make one event of an order's two, and
/// one of two people's.
fn column_key(value: &str, name: &str, identifier: Identifier, who: &str) -> Vec<u8> {
    serde_json::to_vec(&(value, name, identifier, who)).expect("texts can be written")
}

impl Moment {
    fn take(&self, fields: &mut Map<String, Value>) -> Result<Option<Timestamp>, Fault> {
        let Self::Column { column, format } = self else {
            return Ok(None);
        };
        let text = take_text(fields, column)?;
        let seconds = format.parse(&text).map_err(|_| {
            Fault::named(
                column,
                format!(
                    "is no moment written as {}; correct it or the format",
                    format.as_str()
                ),
            )
        })?;
        let timestamp =
            Timestamp::new(seconds).map_err(|_| Fault::named(column, format.out_of_range()))?;
        Ok(Some(timestamp))
    }
}

fn as_text<S: Serializer>(format: &TimeFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.as_str())
}
