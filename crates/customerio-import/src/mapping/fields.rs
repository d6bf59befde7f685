use customerio::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::time::TimeFormat;
use super::values::is_empty;
use crate::reject::RecordError;

/// A value that is in a column, or the same for all records. A column serializes as its name alone,
/// as before there were constants: another form would change the ids of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Source {
    Column(String),
    Constant { constant: String },
}

impl Source {
    /// Returns the column, if it is one.
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Column(column) => Some(column),
            Self::Constant { .. } => None,
        }
    }
}

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

/// Removes a field that may have no value, and returns it as text.
pub(super) fn take_optional_text(
    fields: &mut Map<String, Value>,
    column: &str,
) -> Result<Option<String>, RecordError> {
    if fields.get(column).is_none_or(is_empty) {
        fields.remove(column);
        return Ok(None);
    }
    take_text(fields, column).map(Some)
}

/// Parses the time in a column.
pub(super) fn parse_time(
    column: &str,
    text: &str,
    format: &TimeFormat,
) -> Result<Timestamp, RecordError> {
    let seconds = format.parse(text.trim_ascii()).map_err(|_| {
        RecordError::named(
            column,
            format!(
                "is not a time in the format {}; correct it or --timestamp-format",
                format.as_str()
            ),
        )
    })?;
    Timestamp::new(seconds).map_err(|_| RecordError::named(column, format.out_of_range()))
}

/// Removes a field that must have a value and returns it, or the value that a flag gives for all
/// records.
pub(super) fn take_or_constant(
    fields: &mut Map<String, Value>,
    source: &Source,
) -> Result<String, RecordError> {
    match source {
        Source::Column(column) => take_text(fields, column),
        Source::Constant { constant } => Ok(constant.clone()),
    }
}
