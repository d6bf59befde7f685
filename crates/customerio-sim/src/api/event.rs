use serde_json::{Map, Value};

use super::check;
use super::rejection::Rejection;

// The limits that the API documents.
const MAX_EVENT_NAME_BYTES: usize = 100;
const MAX_EVENT_BYTES: usize = 100_000;

/// The event in an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackedEvent {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) timestamp: Option<i64>,
    pub(crate) attributes: Map<String, Value>,
}

/// Reads an event whose data is at the key `payload`: `data` in v1, `attributes` in v2.
pub(super) fn tracked(
    mut from: Map<String, Value>,
    payload: &str,
) -> Result<TrackedEvent, Rejection> {
    let name = check::optional_string(&from, "name")?
        .unwrap_or_default()
        .trim()
        .to_owned();
    if name.is_empty() {
        return Err(Rejection::required("name", "event name must not be blank"));
    }
    if name.len() > MAX_EVENT_NAME_BYTES {
        let message = format!("event name cannot be longer than {MAX_EVENT_NAME_BYTES} bytes");
        return Err(Rejection::invalid("name", message));
    }
    let attributes = check::optional_object(&mut from, payload, "event data")?;
    if check::size(&attributes) > MAX_EVENT_BYTES {
        let message = format!("event data cannot be longer than {MAX_EVENT_BYTES} bytes");
        return Err(Rejection::invalid(payload, message));
    }
    Ok(TrackedEvent {
        id: check::optional_string(&from, "id")?.filter(|id| !id.is_empty()),
        name,
        timestamp: check::optional_integer(&from, "timestamp")?,
        attributes,
    })
}
