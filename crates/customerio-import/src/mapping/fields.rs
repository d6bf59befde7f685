use customerio::Attributes;
use serde_json::{Map, Value};

use crate::reject::RecordError;

/// Removes a field that must have a value, and returns it as text.
pub(super) fn take_text(
    fields: &mut Map<String, Value>,
    column: &str,
) -> Result<String, RecordError> {
    let missing = || RecordError::named(column, "has no value; add one or remove the record");
    match fields.remove(column) {
        None | Some(Value::Null) => Err(missing()),
        Some(Value::String(text)) if text.is_empty() => Err(missing()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(_) => Err(RecordError::named(
            column,
            "is neither text nor a whole number; write it as text",
        )),
    }
}

/// Returns the fields as attributes.
///
/// Fields without a value mean "unknown". [`Attributes`] leaves them out: the API would remove the
/// attribute.
pub(super) fn attributes(fields: Map<String, Value>) -> Result<Attributes, RecordError> {
    let mut attributes = Attributes::new();
    for (name, value) in fields {
        attributes
            .insert(&name, value)
            .map_err(|error| RecordError::named(&name, error.to_string()))?;
    }
    Ok(attributes)
}
