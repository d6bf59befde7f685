//! Segments, in the App API.

use serde_json::Value;

use super::check;
use super::rejection::Rejection;

/// A valid segment to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSegment {
    pub(crate) name: String,
    pub(crate) description: String,
}

/// `POST /v1/segments`.
pub(crate) fn segment(body: &[u8]) -> Result<NewSegment, Rejection> {
    let mut body = check::object(body)?;
    let Some(Value::Object(members)) = body.remove("segment") else {
        return Err(Rejection::required("segment", "segment must be an object"));
    };
    Ok(NewSegment {
        name: check::required_string(&members, "name")?,
        description: check::optional_string(&members, "description")?.unwrap_or_default(),
    })
}
