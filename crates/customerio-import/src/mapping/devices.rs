use customerio::{Device, Operation, Platform};
use serde::Serialize;
use serde_json::{Map, Value};

use super::columns::{Mapped, invalid};
use super::fields::{Source, parse_time, take_optional_text, take_or_constant, take_text};
use super::notes::Notes;
use super::person::PersonColumn;
use super::time::TimeFormat;
use super::value_type::ValueType;
use super::values::{Attribute, ValueRules};
use crate::reject::RecordError;

/// The columns of a device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceColumns {
    pub(crate) token: String,
    /// Not needed to remove a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used: Option<LastUsed>,
    /// Whether the devices are removed.
    pub(crate) delete: bool,
}

/// The column with the time when a device was used last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastUsed {
    pub(crate) column: String,
    pub(crate) format: TimeFormat,
}

impl DeviceColumns {
    pub(super) fn columns(&self) -> Vec<&str> {
        let platform = self.platform.as_ref().and_then(Source::column);
        let last_used = self.last_used.as_ref().map(|it| it.column.as_str());
        [Some(self.token.as_str()), platform, last_used]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Returns the meaning of a column, if it has one of its own.
    pub(super) fn role(&self, column: &str) -> Option<String> {
        if self.token == column {
            return Some("the device's token".into());
        }
        if self.platform.as_ref().and_then(Source::column) == Some(column) {
            return Some("the device's platform".into());
        }
        let last_used = self.last_used.as_ref().filter(|it| it.column == column)?;
        Some(format!(
            "the time of the last use, as {}",
            last_used.format.as_str()
        ))
    }

    /// Returns the operation that adds the device of a row, or removes it.
    pub(super) fn operation(
        &self,
        person: &PersonColumn,
        values: &ValueRules,
        mut fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let (person, _) = person.take(&mut fields)?;
        let token = take_text(&mut fields, &self.token)?;
        if self.delete {
            let operation = Operation::delete_device(&person, &token)
                .map_err(|error| RecordError::named(&self.token, error.to_string()))?;
            return Ok(Mapped::new(operation, Notes::default()));
        }
        let platform = self.platform(&mut fields)?;
        let mut device = Device::new(token, platform)
            .map_err(|error| RecordError::named(&self.token, error.to_string()))?;
        if let Some(LastUsed { column, format }) = &self.last_used
            && let Some(text) = take_optional_text(&mut fields, column)?
        {
            device = device.last_used(parse_time(column, &text, format)?);
        }
        for attribute in values.resolve(fields)? {
            device = with_attribute(device, &attribute)?;
        }
        let operation = Operation::add_device(&person, &device).map_err(|error| invalid(&error))?;
        Ok(Mapped::new(operation, Notes::default()))
    }

    fn platform(&self, fields: &mut Map<String, Value>) -> Result<Platform, RecordError> {
        let source = self
            .platform
            .as_ref()
            .expect("the command line requires a platform to add devices");
        let text = take_or_constant(fields, source)?;
        match text.trim().to_ascii_lowercase().as_str() {
            "ios" => Ok(Platform::Ios),
            "android" => Ok(Platform::Android),
            _ => Err(RecordError::named(
                source.column().unwrap_or_default(),
                "is not a platform; write ios or android",
            )),
        }
    }
}

/// Adds an attribute. A device's attributes are text, so other values become text.
fn with_attribute(device: Device, attribute: &Attribute) -> Result<Device, RecordError> {
    let column = &attribute.column;
    let error = |reason: String| RecordError::named(column, reason);
    match ValueType::String.convert(attribute.value.clone()) {
        Ok(Value::String(text)) => device
            .attribute(attribute.name(), text)
            .map_err(|invalid| error(invalid.to_string())),
        _ => Err(error(
            "is a list or an object, but a device's attributes are text; leave it out (--except)"
                .into(),
        )),
    }
}
