use serde::{Deserialize, Serialize};

/// The destination and the import. A journal belongs to the run with the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) base_url: String,
    /// A hash of the site id, which is half of the credentials.
    pub(crate) site: String,
    /// The number of the workspace, if the API has named it.
    pub(crate) environment: Option<u64>,
    pub(crate) kind: String,
    /// A digest of the mapping.
    pub(crate) mapping: String,
    /// A digest of the content. A stream has none.
    pub(crate) content: Option<String>,
    pub(crate) import_id: String,
    /// The text that makes the event ids differ from those of other runs (`--new-ids`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<String>,
    #[serde(default, skip_serializing_if = "Begun::is_first")]
    pub(crate) begun: Begun,
}

/// The reason why a journal was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Begun {
    /// The import was not sent before.
    #[default]
    First,
    /// By `--again`: all records are sent again, with the same event ids.
    Again,
    /// By `--new-ids`: all records are sent again, with other event ids.
    NewIds,
}

// === impl Header ===

impl Header {
    /// Returns the first part that differs from the header of another run.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("the base URL", self.base_url == other.base_url),
            ("the site id", self.site == other.site),
            ("the kind of records", self.kind == other.kind),
            ("the mapping of columns", self.mapping == other.mapping),
            ("the content of the file", self.content == other.content),
            ("the import id", self.import_id == other.import_id),
        ];
        parts
            .into_iter()
            .find(|(_, same)| !same)
            .map(|(part, _)| part)
    }
}

// === impl Begun ===

impl Begun {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}
