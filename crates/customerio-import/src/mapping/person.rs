use std::fmt;

use customerio::Person;
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::take_text;
use crate::reject::RecordError;

/// The column that identifies the person.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PersonColumn {
    pub(crate) column: String,
    pub(crate) identifier: Identifier,
}

/// The kind of identifier in the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Identifier {
    Email,
    Id,
    Phone,
    #[serde(rename = "cio_id")]
    CioId,
}

impl PersonColumn {
    /// Removes the person's column from the fields. Returns the person, and a key that is equal for
    /// the same person.
    ///
    /// White space around an e-mail address or a phone number is removed. Around an id it is kept:
    /// it may be a part of the id.
    pub(super) fn take(
        &self,
        fields: &mut Map<String, Value>,
    ) -> Result<(Person, String), RecordError> {
        let text = take_text(fields, &self.column)?;
        let (person, key) = match self.identifier {
            // The API compares addresses without regard to case.
            Identifier::Email => (Person::email(text.trim()), text.trim().to_ascii_lowercase()),
            Identifier::Id => (Person::id(&text), text),
            Identifier::Phone => (Person::phone(text.trim()), text.trim().to_owned()),
            Identifier::CioId => (Person::cio_id(&text), text),
        };
        let person = person.map_err(|error| RecordError::named(&self.column, error.to_string()))?;
        Ok((person, key))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "e-mail address",
            Self::Id => "id",
            Self::Phone => "phone number",
            Self::CioId => "cio_id",
        })
    }
}
