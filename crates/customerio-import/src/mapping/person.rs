use customerio::{Operation, Person};
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{attributes, take_text};
use crate::input::Row;
use crate::reject::RecordError;

/// The column that identifies the person.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PersonColumn {
    pub(crate) column: String,
    pub(crate) identifier: Identifier,
}

/// The kind of identifier in the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Identifier {
    Email,
    Id,
}

impl PersonColumn {
    /// Returns the operation that creates or updates the person of a row.
    pub(super) fn operation(&self, row: Row) -> Result<Operation, RecordError> {
        let mut fields = row.fields;
        let (person, _) = self.take(&mut fields)?;
        let attributes = attributes(fields)?;
        Operation::identify(&person, &attributes)
            .map_err(|error| RecordError::new(error.to_string()))
    }

    /// Removes the person's column from the fields. Returns the person, and a key that is equal for
    /// the same person.
    ///
    /// White space around an e-mail address is removed. Around an id it is kept: it may be a part
    /// of the id.
    pub(super) fn take(
        &self,
        fields: &mut Map<String, Value>,
    ) -> Result<(Person, String), RecordError> {
        let text = take_text(fields, &self.column)?;
        let (person, key) = match self.identifier {
            // The API compares addresses without regard to case.
            Identifier::Email => (Person::email(text.trim()), text.trim().to_ascii_lowercase()),
            Identifier::Id => (Person::id(&text), text),
        };
        let person = person.map_err(|error| RecordError::named(&self.column, error.to_string()))?;
        Ok((person, key))
    }
}
