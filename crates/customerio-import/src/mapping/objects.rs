use customerio::{Object, Operation, Relationship};
use serde::Serialize;
use serde_json::{Map, Value};

use super::columns::{Mapped, invalid};
use super::fields::{Source, take_or_constant, take_text};
use super::notes::Notes;
use super::person::PersonColumn;
use super::values::{ValueRules, attributes};
use crate::reject::RecordError;

/// The columns that identify an object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ObjectColumn {
    /// The number of the object's type.
    pub(crate) object_type: Source,
    pub(crate) id: String,
}

/// The columns of an object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ObjectColumns {
    #[serde(flatten)]
    pub(crate) object: ObjectColumn,
    /// Whether the objects are deleted.
    pub(crate) delete: bool,
}

/// The columns of a relationship of a person with an object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RelationshipColumns {
    #[serde(flatten)]
    pub(crate) object: ObjectColumn,
    /// Whether the relationships are removed.
    pub(crate) delete: bool,
}

// === impl ObjectColumn ===

impl ObjectColumn {
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let object_type = self.object_type.column().into_iter();
        object_type.chain([self.id.as_str()])
    }

    /// Returns the meaning of a column, if it has one of its own.
    pub(super) fn role(&self, column: &str) -> Option<String> {
        if self.id == column {
            return Some("the object's id".into());
        }
        (self.object_type.column() == Some(column)).then(|| "the object's type".into())
    }

    /// Removes the columns from the fields. Returns the object, its type and its id.
    fn take(&self, fields: &mut Map<String, Value>) -> Result<(Object, u32, String), RecordError> {
        let text = take_or_constant(fields, &self.object_type)?;
        let type_id = text.trim().parse::<u32>().map_err(|_| {
            RecordError::named(
                self.object_type.column().unwrap_or_default(),
                "is not the number of an object type; write the number that Customer.io shows, \
                 like 1",
            )
        })?;
        let id = take_text(fields, &self.id)?;
        let object = Object::new(type_id, &id)
            .map_err(|error| RecordError::named(&self.id, error.to_string()))?;
        Ok((object, type_id, id))
    }
}

// === impl ObjectColumns ===

impl ObjectColumns {
    /// Returns the operation that creates or updates the object of a row, or deletes it.
    pub(super) fn operation(
        &self,
        values: &ValueRules,
        mut fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let (object, type_id, id) = self.object.take(&mut fields)?;
        if self.delete {
            let operation = Operation::delete_object(&object).map_err(|error| invalid(&error))?;
            return Ok(Mapped::new(operation, Notes::default()));
        }
        let resolved = values.resolve(fields)?;
        let mut notes = Notes::default();
        notes.add_removals(&resolved);
        notes.set_subject(&(type_id, id));
        let attributes = attributes(&resolved)?;
        let operation = Operation::identify_object(&object, &attributes, &[])
            .map_err(|error| invalid(&error))?;
        Ok(Mapped::new(operation, notes))
    }
}

// === impl RelationshipColumns ===

impl RelationshipColumns {
    /// Returns the operation that relates the person of a row to the object, or ends that.
    pub(super) fn operation(
        &self,
        person: &PersonColumn,
        values: &ValueRules,
        mut fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let (person, _) = person.take(&mut fields)?;
        let (object, ..) = self.object.take(&mut fields)?;
        let relationship = Relationship::with(object);
        let operation = match self.delete {
            true => Operation::delete_relationships(&person, &[relationship]),
            false => {
                let attributes = attributes(&values.resolve(fields)?)?;
                Operation::add_relationships(&person, &[relationship.attributes(attributes)])
            }
        };
        Ok(Mapped::new(
            operation.map_err(|error| invalid(&error))?,
            Notes::default(),
        ))
    }
}
