use serde_json::{Map, Value};

use super::check;
use super::refusal::Refusal;

const MAX_EVENT_NAME_BYTES: usize = 100;
const MAX_EVENT_BYTES: usize = 100_000;

/// The event of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) timestamp: Option<i64>,
    pub(crate) attributes: Map<String, Value>,
}

/// Checks and takes an event whose payload is at `payload`: `data` in v1, `attributes` in v2.
pub(super) fn tracked(mut from: Map<String, Value>, payload: &str) -> Result<Tracked, Refusal> {
    let name = check::optional_string(&from, "name")?
        .unwrap_or_default()
        .trim()
        .to_owned();
    if name.is_empty() {
        return Err(Refusal::required("name", "event name must not be blank"));
    }
    if name.len() > MAX_EVENT_NAME_BYTES {
        let message = format!("event name cannot be longer than {MAX_EVENT_NAME_BYTES} bytes");
        return Err(Refusal::invalid("name", message));
    }
    let attributes = check::optional_object(&mut from, payload, "event data")?;
    if check::size(&attributes) > MAX_EVENT_BYTES {
        let message = format!("event data cannot be longer than {MAX_EVENT_BYTES} bytes");
        return Err(Refusal::invalid(payload, message));
    }
    Ok(Tracked {
        id: check::optional_string(&from, "id")?.filter(|id| !id.is_empty()),
        name,
        timestamp: check::optional_integer(&from, "timestamp")?,
        attributes,
    })
}
