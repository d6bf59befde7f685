use std::fmt;

use http::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::AppRequest;
use super::reply::{number, text, timestamp};
use super::trigger::check_url;
use crate::error::check_length;
use crate::{InvalidInput, Timestamp};

/// An import of a CSV file, which Customer.io loads from a URL.
///
/// ```
/// use customerio::app::{Import, ImportIdentifier};
///
/// let url = "https://example.com/people.csv";
/// let import = Import::people("spring", url, ImportIdentifier::Email).only_existing();
/// assert_eq!(import.to_request()?.path(), "/v1/imports");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` leaves out the URL, which may grant access to the file.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Import {
    #[serde(rename = "type")]
    kind: Kind,
    name: String,
    data_file_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<ImportIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_type_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_to_process: Option<DataToProcess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    People,
    Event,
    Relationship,
    Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum DataToProcess {
    OnlyNew,
    OnlyExisting,
}

/// The identifier by which an import finds people: the name of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImportIdentifier {
    /// Your own id.
    Id,
    /// The email address.
    Email,
    /// The id that Customer.io assigned. Only relationships support it.
    CioId,
}

impl Import {
    /// Creates or updates people.
    pub fn people(
        name: impl Into<String>,
        url: impl Into<String>,
        identifier: ImportIdentifier,
    ) -> Self {
        Self::new(Kind::People, name.into(), url.into(), Some(identifier))
    }

    /// Records events of people.
    pub fn events(
        name: impl Into<String>,
        url: impl Into<String>,
        identifier: ImportIdentifier,
    ) -> Self {
        Self::new(Kind::Event, name.into(), url.into(), Some(identifier))
    }

    /// Relates people to objects.
    pub fn relationships(
        name: impl Into<String>,
        url: impl Into<String>,
        identifier: ImportIdentifier,
    ) -> Self {
        Self::new(
            Kind::Relationship,
            name.into(),
            url.into(),
            Some(identifier),
        )
    }

    /// Creates or updates objects of a type, by the number of the type.
    pub fn objects(name: impl Into<String>, url: impl Into<String>, type_id: u32) -> Self {
        let object_type_id = Some(type_id.to_string());
        Self {
            object_type_id,
            ..Self::new(Kind::Object, name.into(), url.into(), None)
        }
    }

    fn new(
        kind: Kind,
        name: String,
        data_file_url: String,
        identifier: Option<ImportIdentifier>,
    ) -> Self {
        Self {
            kind,
            name,
            data_file_url,
            identifier,
            object_type_id: None,
            data_to_process: None,
            description: None,
        }
    }

    /// Skips rows of people or objects that exist. By default all rows are processed.
    pub fn only_new(self) -> Self {
        Self {
            data_to_process: Some(DataToProcess::OnlyNew),
            ..self
        }
    }

    /// Skips rows of people or objects that do not exist. By default all rows are processed.
    pub fn only_existing(self) -> Self {
        Self {
            data_to_process: Some(DataToProcess::OnlyExisting),
            ..self
        }
    }

    /// Sets the description.
    pub fn description(self, description: impl Into<String>) -> Self {
        Self {
            description: Some(description.into()),
            ..self
        }
    }

    /// Checks the import and returns its request. It is not sent again after a failure that leaves
    /// open whether it arrived: each request is an import of its own.
    ///
    /// # Errors
    ///
    /// The name is empty, the URL is not http or https, people and events are identified by
    /// `cio_id`, or events are restricted to new people.
    pub fn to_request(&self) -> Result<AppRequest, InvalidInput> {
        check_length("import's name", &self.name, usize::MAX)?;
        check_url(&self.data_file_url)?;
        let is_of_people = matches!(self.kind, Kind::People | Kind::Event);
        if is_of_people && self.identifier == Some(ImportIdentifier::CioId) {
            return Err(InvalidInput::malformed(
                "import",
                "of people or events supports no `cio_id`; identify them by id or email",
            ));
        }
        if self.kind == Kind::Event && self.data_to_process == Some(DataToProcess::OnlyNew) {
            return Err(InvalidInput::malformed(
                "import",
                "of events cannot be restricted to new people; leave the setting out",
            ));
        }
        AppRequest::new(Method::POST, "/v1/imports")?.json(&json!({ "import": self }))
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The status of an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ImportStatus {
    /// The number of the import.
    pub id: u64,
    /// How far it is.
    pub state: ImportState,
    /// The name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The kind of its rows: `people`, `event`, `relationship` or `object`.
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub import_type: Option<String>,
    /// How many rows the file has to import.
    #[serde(default, deserialize_with = "number")]
    pub rows_to_import: Option<u64>,
    /// How many rows were imported so far.
    #[serde(default, deserialize_with = "number")]
    pub rows_imported: Option<u64>,
    /// Why it failed.
    #[serde(default, deserialize_with = "text")]
    pub error: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, deserialize_with = "timestamp")]
    pub updated_at: Option<Timestamp>,
}

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportState {
    /// The file is loaded: `preprocessing`.
    Preprocessing,
    /// The file was loaded: `preprocessed`.
    Preprocessed,
    /// The rows are validated: `validating`.
    Validating,
    /// The rows were validated: `validated`.
    Validated,
    /// The rows are imported: `importing`.
    Importing,
    /// All rows were imported: `imported`.
    Imported,
    /// It failed: `failed`.
    Failed,
    /// It was canceled: `canceled`.
    Canceled,
    /// A state that this release does not know.
    Other(Box<str>),
}

impl ImportState {
    /// Returns whether the import has ended and its state no longer changes.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Imported | Self::Failed | Self::Canceled)
    }
}

impl<'de> Deserialize<'de> for ImportState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "preprocessing" => Self::Preprocessing,
            "preprocessed" => Self::Preprocessed,
            "validating" => Self::Validating,
            "validated" => Self::Validated,
            "importing" => Self::Importing,
            "imported" => Self::Imported,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            _ => Self::Other(name.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const URL: &str = "https://x/y.csv";

    #[test]
    fn an_import_has_the_members_of_its_kind() {
        let check = |import: Import, expected: Value| {
            let request = import.to_request().unwrap();
            let body: Value = serde_json::from_slice(request.content().unwrap()).unwrap();
            assert_eq!(body, json!({ "import": expected }));
            assert!(!request.may_replay());
        };
        check(
            Import::people("i", URL, ImportIdentifier::Id),
            json!({"type": "people", "name": "i", "data_file_url": URL, "identifier": "id"}),
        );
        check(
            Import::objects("i", URL, 1).only_new().description("d"),
            json!({
                "type": "object", "name": "i", "data_file_url": URL, "object_type_id": "1",
                "data_to_process": "only_new", "description": "d",
            }),
        );
        check(
            Import::relationships("i", URL, ImportIdentifier::CioId),
            json!({
                "type": "relationship", "name": "i", "data_file_url": URL, "identifier": "cio_id",
            }),
        );
    }

    #[test]
    fn an_import_that_the_api_does_not_support_is_an_error() {
        let by_cio_id = ImportIdentifier::CioId;
        for import in [
            Import::people("", URL, ImportIdentifier::Id),
            Import::people("i", "file:///y.csv", ImportIdentifier::Id),
            Import::people("i", URL, by_cio_id),
            Import::events("i", URL, by_cio_id),
            Import::events("i", URL, ImportIdentifier::Id).only_new(),
        ] {
            assert!(import.to_request().is_err(), "{import:?}");
            assert!(!format!("{import:?}").contains("y.csv"));
        }
    }

    #[test]
    fn a_state_that_is_not_known_keeps_its_name() {
        let state = |name: &str| serde_json::from_value::<ImportState>(json!(name)).unwrap();
        assert_eq!(state("paused"), ImportState::Other("paused".into()));
        assert!(state("canceled").is_final() && !state("importing").is_final());
    }
}
