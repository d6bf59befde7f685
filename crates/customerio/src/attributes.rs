use std::{fmt, io};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Problem, check_bytes, check_count, check_length};
use crate::finite::is_finite;
use crate::{InvalidInput, Validation};

/// The documented limits of a person's attributes: bytes of a name, bytes of a value, number in one request.
const MAX_NAME: usize = 150;
const MAX_VALUE: usize = 1_000;
const MAX_COUNT: usize = 300;

/// How many characters of an attribute's name an error shows.
const SHOWN_NAME: usize = 60;

/// Holds named JSON values: what is known of a person, or the data of an event.
///
/// `None`, `null` and `""` are left out, because the API takes them as the order to remove an attribute.
/// Who wants that says [`unset`](Self::unset). An explicit `false` or `0` is kept.
///
/// Names take at most 150 bytes. The limits of a person's attributes (1,000 bytes a value, measured as
/// JSON unless it is a string, and 300 attributes) do not hold for events, so
/// [`Operation::identify`](crate::Operation::identify) checks them.
///
/// ```
/// use customerio::Attributes;
/// let mut attributes = Attributes::new();
/// attributes.insert("plan", "pro")?.insert("age", None::<u8>)?.insert("vip", false)?.unset("trial")?;
/// assert_eq!(serde_json::to_string(&attributes)?, r#"{"plan":"pro","trial":null,"vip":false}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Anything that serializes to an object will do, too:
///
/// ```
/// use customerio::Attributes;
/// #[derive(serde::Serialize)]
/// struct Profile { plan: &'static str, score: f64 }
///
/// assert!(Attributes::from_serialize(&Profile { plan: "pro", score: 0.5 }).is_ok());
/// assert!(Attributes::from_serialize(&Profile { plan: "pro", score: f64::NAN }).is_err());
/// ```
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Attributes {
    values: Map<String, Value>,
    #[serde(skip)]
    validation: Validation,
}

impl Attributes {
    /// Returns no attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns no attributes, to be checked as `validation` says.
    #[must_use]
    pub fn with(validation: Validation) -> Self {
        Self {
            values: Map::new(),
            validation,
        }
    }

    /// Takes the fields of a struct or the entries of a map.
    ///
    /// # Errors
    ///
    /// The value is no object, a name is empty or longer than 150 bytes, or a number is NaN or infinite.
    pub fn from_serialize<T: Serialize + ?Sized>(fields: &T) -> Result<Self, InvalidInput> {
        let refused = |problem| InvalidInput::new("attributes", problem);
        match to_value(fields).map_err(refused)? {
            Value::Object(map) => Self::try_from(map),
            _ => Err(refused(Problem::NotAnObject)),
        }
    }

    /// Sets one attribute, or leaves it as it is if `value` is `None`, `null` or `""`.
    ///
    /// # Errors
    ///
    /// The name is empty or longer than 150 bytes, or a number is NaN or infinite.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Serialize,
    ) -> Result<&mut Self, InvalidInput> {
        let name = name.into();
        self.check_name(&name)?;
        let value = to_value(&value).map_err(|problem| InvalidInput::new(shown(&name), problem))?;
        if !is_removal(&value) {
            self.values.insert(name, value);
        }
        Ok(self)
    }

    /// Asks the API to remove an attribute from the person, by sending `null`.
    ///
    /// # Errors
    ///
    /// The name is empty or longer than 150 bytes.
    pub fn unset(&mut self, name: impl Into<String>) -> Result<&mut Self, InvalidInput> {
        let name = name.into();
        self.check_name(&name)?;
        self.values.insert(name, Value::Null);
        Ok(self)
    }

    /// Returns the number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there are no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn check_name(&self, name: &str) -> Result<(), InvalidInput> {
        if self.validation.is_off() {
            return Ok(());
        }
        check_length("attribute name", name, MAX_NAME)
    }

    /// Returns how these attributes, and the event that carries them, are checked.
    pub(crate) fn validation(&self) -> Validation {
        self.validation
    }

    /// Sets one of the API's own attributes, whose name and value are in order.
    pub(crate) fn set(&mut self, name: String, value: Value) {
        self.values.insert(name, value);
    }

    /// Checks how many attributes one person or object may be given at once.
    pub(crate) fn check_count(&self) -> Result<(), InvalidInput> {
        if self.validation.is_off() {
            return Ok(());
        }
        check_count("attributes", self.len(), MAX_COUNT)
    }

    /// Checks the documented limits of a person's attributes.
    pub(crate) fn check_person(&self) -> Result<(), InvalidInput> {
        self.check_count()?;
        if self.validation.is_off() {
            return Ok(());
        }
        for (name, value) in &self.values {
            let bytes = size(value);
            if bytes > MAX_VALUE {
                check_bytes(shown(name), bytes, MAX_VALUE)?;
            }
        }
        Ok(())
    }

    /// Returns how many bytes the attributes take as JSON.
    pub(crate) fn size(&self) -> usize {
        json_size(&self.values)
    }
}

impl TryFrom<Map<String, Value>> for Attributes {
    type Error = InvalidInput;

    fn try_from(mut map: Map<String, Value>) -> Result<Self, InvalidInput> {
        for name in map.keys() {
            check_length("attribute name", name, MAX_NAME)?;
        }
        map.retain(|_, value| !is_removal(value));
        Ok(Self {
            values: map,
            validation: Validation::Strict,
        })
    }
}

/// Names are the caller's schema; values are a person's data and stay out.
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes")?;
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn is_removal(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Problem> {
    if !is_finite(value) {
        return Err(Problem::NotFinite);
    }
    serde_json::to_value(value).map_err(|_| Problem::NotSerializable)
}

/// Writes an attribute's name into an error: escaped, and bounded.
fn shown(name: &str) -> String {
    let head: String = name.chars().take(SHOWN_NAME).collect();
    format!("attribute `{}`", head.escape_debug())
}

/// Returns the bytes of a value as the API counts them: a string without its quotes, all else as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => json_size(value),
    }
}

fn json_size<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value)
        .expect("JSON values serialize, and counting does not fail");
    counter.0
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_person(attributes: &Value, expected: Option<&str>) {
        let checked = Attributes::from_serialize(attributes).and_then(|a| a.check_person());
        let field = checked.as_ref().err().map(InvalidInput::field);
        assert_eq!(field, expected, "{checked:?}");
    }

    #[test]
    fn a_persons_attributes_keep_the_documented_limits_in_bytes() {
        check_person(&json!({"a": "x".repeat(1_000)}), None);
        check_person(&json!({"a": "x".repeat(1_001)}), Some("attribute `a`"));
        check_person(&json!({"a": "ü".repeat(501)}), Some("attribute `a`"));
        check_person(&json!({"a": ["x".repeat(996)]}), None);
        check_person(&json!({"a": ["x".repeat(997)]}), Some("attribute `a`"));
        check_person(&json!({"x".repeat(150): 1}), None);
        check_person(&json!({"x".repeat(151): 1}), Some("attribute name"));
        check_person(&json!({"": 1}), Some("attribute name"));
        let many = |count: u32| {
            (0..count)
                .map(|n| (n.to_string(), json!(n)))
                .collect::<Value>()
        };
        check_person(&many(300), None);
        check_person(&many(301), Some("attributes"));
    }

    #[test]
    fn what_would_remove_an_attribute_is_left_out() {
        let attributes =
            Attributes::from_serialize(&json!({"a": null, "b": "", "c": false, "d": [null]}));
        assert_eq!(
            serde_json::to_value(attributes.unwrap()).unwrap(),
            json!({"c": false, "d": [null]})
        );
    }

    #[test]
    fn values_that_json_cannot_hold_are_refused_by_name() {
        let refused = Attributes::new().insert("score\n", f32::NAN).unwrap_err();
        assert_eq!(refused.field(), r"attribute `score\n`");
        let keys = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert!(Attributes::new().insert("map", keys).is_err());
        assert!(Attributes::from_serialize(&[1]).is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        let mut attributes = Attributes::new();
        attributes.insert("plan", "hidden").unwrap();
        assert_eq!(format!("{attributes:?}"), r#"Attributes{"plan"}"#);
    }

    #[test]
    fn big_integers_are_kept() {
        let mut attributes = Attributes::new();
        attributes.insert("n", u64::MAX).unwrap();
        assert_eq!(
            serde_json::to_string(&attributes).unwrap(),
            r#"{"n":18446744073709551615}"#
        );
    }
}
