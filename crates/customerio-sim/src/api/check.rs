use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use super::refusal::Refusal;

pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| Refusal::invalid("body", "request body must be a JSON object"))
}

/// Takes `key` out of `from`, if it is there and a string.
pub(super) fn optional_string(
    from: &Map<String, Value>,
    key: &str,
) -> Result<Option<String>, Refusal> {
    match from.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::invalid(key, format!("{key} must be a string"))),
    }
}

pub(super) fn required_string(from: &Map<String, Value>, key: &str) -> Result<String, Refusal> {
    let text = optional_string(from, key)?.filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| Refusal::required(key, format!("{key} must not be blank")))
}

/// Takes the attributes at `key`; an absent or null value holds none.
pub(super) fn optional_object(
    from: &mut Map<String, Value>,
    key: &str,
    what: &str,
) -> Result<Map<String, Value>, Refusal> {
    match from.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Refusal::invalid(key, format!("{what} must be a hash"))),
    }
}

/// Checks the attributes of one identify operation.
pub(super) fn attributes(attributes: &Map<String, Value>) -> Result<(), Refusal> {
    count(attributes)?;
    attributes
        .iter()
        .try_for_each(|(name, value)| attribute(name, value))
}

fn attribute(name: &str, value: &Value) -> Result<(), Refusal> {
    if name.len() > MAX_NAME_BYTES {
        let message = format!("attribute name cannot be longer than {MAX_NAME_BYTES} bytes");
        return Err(Refusal::invalid("attributes", message));
    }
    if !STRUCTURED.contains(&name) && value_size(value) > MAX_VALUE_BYTES {
        let message =
            format!("value for attribute '{name}' cannot be longer than {MAX_VALUE_BYTES} bytes");
        return Err(Refusal::invalid(name, message));
    }
    Ok(())
}

/// Takes a string that must be one of `known`.
pub(super) fn one_of(
    from: &Map<String, Value>,
    key: &str,
    known: &[&str],
) -> Result<String, Refusal> {
    let text = required_string(from, key)?;
    if known.contains(&text.as_str()) {
        return Ok(text);
    }
    let message = format!("{key} must be one of {}", known.join(", "));
    Err(Refusal::invalid(key, message))
}

pub(super) fn optional_integer(
    from: &Map<String, Value>,
    key: &str,
) -> Result<Option<i64>, Refusal> {
    match from.get(key).map(Value::as_i64) {
        None => Ok(None),
        Some(Some(number)) => Ok(Some(number)),
        Some(None) => Err(Refusal::invalid(key, format!("{key} must be an integer"))),
    }
}

/// Checks how many attributes one person or object is given at once.
pub(super) fn count(attributes: &Map<String, Value>) -> Result<(), Refusal> {
    if attributes.len() > MAX_ATTRIBUTES {
        let message =
            format!("cannot identify more than {MAX_ATTRIBUTES} attributes in one request");
        return Err(Refusal::invalid("attributes", message));
    }
    Ok(())
}

/// The bytes of a string without quotes and escapes, or of anything else as JSON.
fn value_size(value: &Value) -> usize {
    value.as_str().map_or_else(|| size(value), str::len)
}

pub(super) fn size(value: &impl Serialize) -> usize {
    let mut count = Count(0);
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

/// Attributes that are structures of their own, not values.
const STRUCTURED: [&str; 2] = ["cio_relationships", "cio_subscription_preferences"];
const MAX_ATTRIBUTES: usize = 300;
const MAX_NAME_BYTES: usize = 150;
const MAX_VALUE_BYTES: usize = 1_000;
