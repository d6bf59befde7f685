use serde_json::{Map, Value};

use super::check;
use super::rejection::Rejection;

/// Reads the device at the key `device`, for adding it. Its token is at the key `token`: `id` in
/// v1, `token` in v2.
pub(super) fn added(
    entity: &mut Map<String, Value>,
    token: &str,
) -> Result<(String, Value), Rejection> {
    let (token, device) = named(entity, token)?;
    check::one_of(&device, "platform", &PLATFORMS)?;
    last_used(device.get("last_used"))?;
    attributes(device.get("attributes"))?;
    Ok((token, device.into()))
}

/// Reads the token of the device at the key `device`, and the device itself without checks.
pub(super) fn named(
    entity: &mut Map<String, Value>,
    token: &str,
) -> Result<(String, Map<String, Value>), Rejection> {
    let device = check::optional_object(entity, "device", "device")?;
    Ok((check::required_string(&device, token)?, device))
}

/// Rejects a time that is no integer. The official library for Go sends the integer as a string.
fn last_used(time: Option<&Value>) -> Result<(), Rejection> {
    let is_integer = |time: &Value| match time {
        Value::Null => true,
        Value::String(text) => text.parse::<i64>().is_ok(),
        _ => time.is_i64(),
    };
    match time {
        Some(time) if !is_integer(time) => Err(Rejection::invalid(
            "last_used",
            "last_used must be an integer",
        )),
        _ => Ok(()),
    }
}

/// Rejects attributes that are no strings. `push_enabled` must be a string too.
fn attributes(attributes: Option<&Value>) -> Result<(), Rejection> {
    // Official libraries send `null` for an empty map.
    let Some(attributes) = attributes.filter(|attributes| !attributes.is_null()) else {
        return Ok(());
    };
    let attributes = attributes
        .as_object()
        .ok_or_else(|| Rejection::invalid("attributes", "attributes must be a hash"))?;
    match attributes.iter().find(|(_, value)| !value.is_string()) {
        Some((name, _)) => Err(Rejection::invalid(
            name,
            format!("device attribute '{name}' must be a string"),
        )),
        None => Ok(()),
    }
}

const PLATFORMS: [&str; 2] = ["android", "ios"];
