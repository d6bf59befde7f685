use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use super::rejection::Rejection;

pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Rejection> {
    serde_json::from_slice(body)
        .map_err(|_| Rejection::invalid("body", "request body must be a JSON object"))
}

/// Reads a JSON object. `null` is an empty one: official libraries send it for an empty map.
pub(super) fn nullable_object(body: &[u8]) -> Result<Map<String, Value>, Rejection> {
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Ok(Map::new()),
        _ => object(body),
    }
}

/// Returns the string at `key`. A missing or null value is `None`.
pub(super) fn optional_string(
    from: &Map<String, Value>,
    key: &str,
) -> Result<Option<String>, Rejection> {
    match from.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Rejection::invalid(key, format!("{key} must be a string"))),
    }
}

pub(super) fn required_string(from: &Map<String, Value>, key: &str) -> Result<String, Rejection> {
    let text = optional_string(from, key)?.filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| Rejection::required(key, format!("{key} must not be blank")))
}

/// Removes and returns the object at `key`. A missing or null value is an empty object.
pub(super) fn optional_object(
    from: &mut Map<String, Value>,
    key: &str,
    what: &str,
) -> Result<Map<String, Value>, Rejection> {
    match from.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Rejection::invalid(key, format!("{what} must be a hash"))),
    }
}

/// The reserved keys of an identify operation that are no attributes.
pub(super) struct Reserved {
    pub(super) update_only: bool,
    pub(super) timestamp: Option<i64>,
}

/// Removes the keys `_update` and `_timestamp` from the attributes of an identify operation.
pub(super) fn take_reserved(attributes: &mut Map<String, Value>) -> Result<Reserved, Rejection> {
    let reserved = Reserved {
        update_only: optional_boolean(attributes, "_update")?.unwrap_or(false),
        timestamp: optional_integer(attributes, "_timestamp")?,
    };
    attributes.remove("_update");
    attributes.remove("_timestamp");
    Ok(reserved)
}

/// Reads an anonymous id. A missing, null or empty one is `None`. A number becomes a string, since
/// an official library sends it as it is.
pub(super) fn anonymous_id(value: Option<&Value>) -> Result<Option<String>, Rejection> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Rejection::invalid(
            "anonymous_id",
            "anonymous_id must be a string",
        )),
    }
}

/// Checks the attributes of an identify operation.
pub(super) fn attributes(attributes: &Map<String, Value>) -> Result<(), Rejection> {
    count(attributes)?;
    attributes
        .iter()
        .try_for_each(|(name, value)| attribute(name, value))
}

fn attribute(name: &str, value: &Value) -> Result<(), Rejection> {
    if name.len() > MAX_NAME_BYTES {
        let message = format!("attribute name cannot be longer than {MAX_NAME_BYTES} bytes");
        return Err(Rejection::invalid("attributes", message));
    }
    if !STRUCTURED.contains(&name) && value_size(value) > MAX_VALUE_BYTES {
        let message =
            format!("value for attribute '{name}' cannot be longer than {MAX_VALUE_BYTES} bytes");
        return Err(Rejection::invalid(name, message));
    }
    Ok(())
}

/// Returns the string at `key`, which must be one of `known`.
pub(super) fn one_of(
    from: &Map<String, Value>,
    key: &str,
    known: &[&str],
) -> Result<String, Rejection> {
    let text = required_string(from, key)?;
    if known.contains(&text.as_str()) {
        return Ok(text);
    }
    let message = format!("{key} must be one of {}", known.join(", "));
    Err(Rejection::invalid(key, message))
}

pub(super) fn optional_integer(
    from: &Map<String, Value>,
    key: &str,
) -> Result<Option<i64>, Rejection> {
    match from.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => Err(Rejection::invalid(key, format!("{key} must be an integer"))),
        },
    }
}

/// Returns the boolean at `key`. A missing or null value is `None`.
pub(super) fn optional_boolean(
    from: &Map<String, Value>,
    key: &str,
) -> Result<Option<bool>, Rejection> {
    match from.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(Rejection::invalid(key, format!("{key} must be a boolean"))),
    }
}

/// Checks the number of attributes that one operation sets.
pub(super) fn count(attributes: &Map<String, Value>) -> Result<(), Rejection> {
    if attributes.len() > MAX_ATTRIBUTES {
        let message =
            format!("cannot identify more than {MAX_ATTRIBUTES} attributes in one request");
        return Err(Rejection::invalid("attributes", message));
    }
    Ok(())
}

/// Returns the length in bytes: of a string without quotes and escapes, of other values as JSON.
fn value_size(value: &Value) -> usize {
    value.as_str().map_or_else(|| size(value), str::len)
}

/// Returns the length of `value` as JSON, in bytes.
pub(super) fn size(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    // Counts without a copy: the values of a batch can be long.
    serde_json::to_writer(&mut count, value)
        .expect("a JSON value serializes, and counting cannot fail");
    count.0
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Attributes with a structure of their own. The limit of [`MAX_VALUE_BYTES`] is not for them.
const STRUCTURED: [&str; 2] = ["cio_relationships", "cio_subscription_preferences"];
/// The documented limit of the attributes in one identify operation, and of a person.
pub(crate) const MAX_ATTRIBUTES: usize = 300;
// The other limits that the API documents.
const MAX_NAME_BYTES: usize = 150;
const MAX_VALUE_BYTES: usize = 1_000;
