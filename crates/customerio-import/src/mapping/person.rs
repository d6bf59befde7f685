use serde::Serialize;

/// Says which column identifies the person, and by what.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PersonColumn {
    pub(crate) column: String,
    pub(crate) identifier: Identifier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Identifier {
    Email,
    Id,
}
