use serde_json::{Map, Value};

use super::check;
use super::refusal::Refusal;

/// Checks the device at `device`, whose token is at `token`: `id` in v1, `token` in v2.
pub(super) fn added(
    entity: &mut Map<String, Value>,
    token: &str,
) -> Result<(String, Value), Refusal> {
    let (token, device) = named(entity, token)?;
    check::one_of(&device, "platform", &PLATFORMS)?;
    check::optional_integer(&device, "last_used")?;
    attributes(device.get("attributes"))?;
    Ok((token, device.into()))
}

/// Reads the device that is only named.
pub(super) fn named(
    entity: &mut Map<String, Value>,
    token: &str,
) -> Result<(String, Map<String, Value>), Refusal> {
    let device = check::optional_object(entity, "device", "device")?;
    Ok((check::required_string(&device, token)?, device))
}

/// All of a device's attributes are strings, `push_enabled` too.
fn attributes(attributes: Option<&Value>) -> Result<(), Refusal> {
    let Some(attributes) = attributes else {
        return Ok(());
    };
    let attributes = attributes
        .as_object()
        .ok_or_else(|| Refusal::invalid("attributes", "attributes must be a hash"))?;
    match attributes.iter().find(|(_, value)| !value.is_string()) {
        Some((name, _)) => Err(Refusal::invalid(
            name,
            format!("device attribute '{name}' must be a string"),
        )),
        None => Ok(()),
    }
}

const PLATFORMS: [&str; 2] = ["android", "ios"];
