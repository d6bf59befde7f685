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
    check::optional_integer(&device, "last_used")?;
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

/// Rejects attributes that are no strings. `push_enabled` must be a string too.
fn attributes(attributes: Option<&Value>) -> Result<(), Rejection> {
    let Some(attributes) = attributes else {
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
