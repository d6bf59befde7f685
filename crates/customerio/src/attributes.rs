//! Named JSON values: checked while they are serialized, and kept as the text that is sent.

mod fields;
mod members;
mod numbers;

use std::fmt;

use bytes::Bytes;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::fields::{Fields, NotRead};
use self::members::{Member, Members, Removal};
pub(crate) use self::numbers::check_numbers;
use crate::error::{Problem, check_bytes, check_count, check_size};
use crate::{InvalidInput, Validation};

/// The documented limit of a name, in bytes.
const MAX_NAME: usize = 150;

/// The documented limit of a value of a person's attribute, in bytes.
const MAX_VALUE: usize = 1_000;

/// The documented limit of attributes in one request.
const MAX_COUNT: usize = 300;

/// How many characters of an attribute's name an error shows. A longer name would hide the rest of
/// the message.
const SHOWN_NAME: usize = 60;

/// Named JSON values: the attributes of a person or an object, or the data of an event.
///
/// `None`, `null` and `""` are left out, because the API removes an attribute that it receives with
/// one of these values. Call [`unset`](Self::unset) to remove one. `false` and `0` are sent.
///
/// # Limits
///
/// A name takes at most 150 bytes. [`Operation::identify`](crate::Operation::identify) also checks
/// the limits of a person: 300 attributes, and 1,000 bytes for each value. A string is measured
/// without its quotes, a list or an object as JSON. Events do not have these limits.
///
/// ```
/// use customerio::Attributes;
/// let mut attributes = Attributes::new();
/// attributes.insert("plan", "pro")?.insert("age", None::<u8>)?.insert("vip", false)?;
/// attributes.unset("trial")?;
/// assert_eq!(serde_json::to_string(&attributes)?, r#"{"plan":"pro","trial":null,"vip":false}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// From a struct, or any other value that serializes to an object:
///
/// ```
/// use customerio::Attributes;
/// #[derive(serde::Serialize)]
/// struct Profile { plan: &'static str, score: f64 }
///
/// assert!(Attributes::from_serialize(&Profile { plan: "pro", score: 0.5 }).is_ok());
/// assert!(Attributes::from_serialize(&Profile { plan: "pro", score: f64::NAN }).is_err());
/// ```
#[derive(Clone, Default)]
pub struct Attributes {
    members: Members,
    validation: Validation,
}

impl Attributes {
    /// Creates an empty set of attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty set of attributes with the given validation.
    #[must_use]
    pub fn with(validation: Validation) -> Self {
        Self {
            members: Members::default(),
            validation,
        }
    }

    /// Creates attributes from the fields of a struct or the entries of a map.
    ///
    /// # Errors
    ///
    /// The value is not an object, a name is empty or longer than 150 bytes, a number is NaN or
    /// infinite, or an integer takes more than 64 bits.
    pub fn from_serialize<T: Serialize + ?Sized>(fields: &T) -> Result<Self, InvalidInput> {
        let mut attributes = Self::new();
        match fields.serialize(Fields(&mut attributes)) {
            Ok(()) => Ok(attributes),
            Err(NotRead::Invalid(invalid)) => Err(invalid),
            // Rare: the value is serialized a second time, through a `Value`.
            Err(NotRead::NoFields) => Self::from_object(fields),
        }
    }

    /// Reads a value that may be an object although it has no fields of its own, such as a variant
    /// of an enum.
    fn from_object<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidInput> {
        let invalid = |problem| InvalidInput::new("attributes", problem);
        check_numbers(value).map_err(invalid)?;
        match serde_json::to_value(value) {
            Ok(Value::Object(map)) => Self::try_from(map),
            Ok(_) => Err(invalid(Problem::NotAnObject)),
            Err(_) => Err(invalid(Problem::NotSerializable)),
        }
    }

    /// Sets an attribute. Does nothing if `value` is `None`, `null` or `""`.
    ///
    /// # Errors
    ///
    /// The name is empty or longer than 150 bytes, a number is NaN or infinite, or an integer takes
    /// more than 64 bits.
    pub fn insert(
        &mut self,
        name: impl AsRef<str>,
        value: impl Serialize,
    ) -> Result<&mut Self, InvalidInput> {
        self.put_name(name.as_ref())?;
        self.put_value(&value)?;
        Ok(self)
    }

    /// Sets an attribute to `null`, with which the API removes it from the person.
    ///
    /// # Errors
    ///
    /// The name is empty or longer than 150 bytes.
    pub fn unset(&mut self, name: impl AsRef<str>) -> Result<&mut Self, InvalidInput> {
        self.put_name(name.as_ref())?;
        self.set_value(&());
        Ok(self)
    }

    /// Returns the number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there are no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reserves room for `more` attributes, at most for 300: a serializer may pass a wrong number.
    fn reserve(&mut self, more: usize) {
        self.members.reserve(more.min(MAX_COUNT));
    }

    /// Begins an attribute; [`put_value`](Self::put_value) must follow.
    fn put_name(&mut self, name: &str) -> Result<(), InvalidInput> {
        self.members.name(name);
        self.check_name(name.len())
    }

    /// Begins an attribute whose name may have another type than a string.
    fn put_any_name<K: Serialize + ?Sized>(&mut self, name: &K) -> Result<(), InvalidInput> {
        let bytes = self.members.any_name(name);
        self.check_name(bytes.map_err(|problem| InvalidInput::new("attributes", problem))?)
    }

    fn check_name(&self, bytes: usize) -> Result<(), InvalidInput> {
        if self.validation.is_off() {
            return Ok(());
        }
        check_size("attribute name", bytes, MAX_NAME)
    }

    /// Completes an attribute, or drops it if the value would remove it.
    fn put_value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), InvalidInput> {
        let put = self.members.value(value, Removal::LeaveOut);
        put.map_err(|problem| InvalidInput::new(field_name(&self.members.last_name()), problem))
    }

    fn set_value(&mut self, value: &impl Serialize) {
        let set = self.members.value(value, Removal::Keep);
        set.expect("this crate's values are valid JSON and follow a name");
    }

    /// Sets one of the API's own attributes. Name and value must be valid.
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) {
        self.members.name(name);
        self.set_value(value);
    }

    /// Sets one of the API's own attributes to the JSON that `write` appends.
    pub(crate) fn set_json(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.members.name(name);
        self.members.raw_value(write);
    }

    /// Returns the validation of these attributes and of their event.
    pub(crate) fn validation(&self) -> Validation {
        self.validation
    }

    /// Checks the documented number of attributes of a person or an object.
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
        // Counting decodes a string; a value that is short enough as JSON needs no count.
        let long = |member: &Member<'_>| member.value.len() > MAX_VALUE;
        for member in self.members.iter().filter(long) {
            check_bytes(field_name(&member.name()), member.counted(), MAX_VALUE)?;
        }
        Ok(())
    }

    /// Returns the size as JSON, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.members.size()
    }

    /// Appends the attributes to `json`.
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        self.members.write(json);
    }

    pub(crate) fn to_json(&self) -> Bytes {
        let mut json = Vec::with_capacity(self.size());
        self.write(&mut json);
        json.into()
    }
}

impl TryFrom<Map<String, Value>> for Attributes {
    type Error = InvalidInput;

    fn try_from(map: Map<String, Value>) -> Result<Self, InvalidInput> {
        Self::from_serialize(&map)
    }
}

/// Compares names and values. The order of names inside a value does not count.
impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.validation == other.validation
            && self.len() == other.len()
            && self.members.iter().eq(other.members.iter())
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for member in self.members.iter() {
            let value = member
                .value()
                .ok_or_else(|| S::Error::custom("a number is out of range"))?;
            map.serialize_entry(&member.name(), &value)?;
        }
        map.end()
    }
}

/// Shows the names and leaves out the values, which are personal data.
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes")?;
        let names = self.members.iter().map(|member| member.name());
        f.debug_set().entries(names).finish()
    }
}

/// Returns the field of an error for an attribute: its name, escaped and cut.
fn field_name(name: &str) -> String {
    let head: String = name.chars().take(SHOWN_NAME).collect();
    format!("attribute `{}`", head.escape_debug())
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
    fn values_that_would_remove_an_attribute_are_left_out() {
        let attributes =
            Attributes::from_serialize(&json!({"a": null, "b": "", "c": false, "d": [null]}));
        assert_eq!(
            serde_json::to_value(attributes.unwrap()).unwrap(),
            json!({"c": false, "d": [null]})
        );
    }

    #[test]
    fn values_that_json_cannot_hold_are_errors_with_the_name() {
        let error = Attributes::new().insert("score\n", f32::NAN).unwrap_err();
        assert_eq!(error.field(), r"attribute `score\n`");
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

    fn check_json(attributes: &Attributes, expected: &str) {
        assert_eq!(attributes.to_json(), expected);
        assert_eq!(attributes.size(), expected.len());
    }

    #[test]
    fn names_are_unique_and_sorted() {
        let mut attributes = Attributes::new();
        for (name, value) in [
            ("plan", 1),
            ("plan b", 2),
            ("plan_category", 3),
            ("plan_car", 4),
        ] {
            attributes.insert(name, value).unwrap();
        }
        attributes.insert("plan b", 5).unwrap().unset("a").unwrap();
        attributes.insert("plan", "").unwrap();
        check_json(
            &attributes,
            r#"{"a":null,"plan":1,"plan b":5,"plan_car":4,"plan_category":3}"#,
        );
    }

    #[test]
    fn replaced_values_take_no_memory() {
        let mut attributes = Attributes::new();
        attributes.insert("a", "x").unwrap().insert("c", 1).unwrap();
        for bytes in (0..1_000).rev() {
            attributes.insert("b", "x".repeat(bytes + 1)).unwrap();
            attributes.insert("d", f64::NAN).unwrap_err();
        }
        check_json(&attributes, r#"{"a":"x","b":"x","c":1}"#);
    }

    #[test]
    fn errors_name_the_invalid_field() {
        #[derive(Serialize)]
        struct Scores {
            name: &'static str,
            score: f64,
        }
        let (name, score) = ("a", f64::NAN);
        let error = Attributes::from_serialize(&Scores { name, score }).unwrap_err();
        assert_eq!(error.field(), "attribute `score`");
    }

    #[test]
    fn every_kind_of_object_is_read() {
        #[derive(Serialize)]
        enum Kind {
            New(u8),
            Struct { x: Option<u8> },
        }
        #[derive(Serialize)]
        struct Flat {
            b: u8,
            #[serde(flatten)]
            rest: std::collections::BTreeMap<&'static str, u8>,
        }
        let check = |fields: &dyn Fn() -> Result<Attributes, InvalidInput>, expected| {
            check_json(&fields().unwrap(), expected);
        };
        let rest = [("a", 2), ("b", 3)].into();
        check(
            &|| Attributes::from_serialize(&Kind::New(1)),
            r#"{"New":1}"#,
        );
        let kind = Kind::Struct { x: None };
        check(
            &|| Attributes::from_serialize(&Some(&kind)),
            r#"{"Struct":{"x":null}}"#,
        );
        let flat = Flat { b: 1, rest };
        check(&|| Attributes::from_serialize(&flat), r#"{"a":2,"b":3}"#);
        let numbers = std::collections::BTreeMap::from([(-1, true), (20, false)]);
        check(
            &|| Attributes::from_serialize(&numbers),
            r#"{"-1":true,"20":false}"#,
        );
    }

    #[test]
    fn names_are_measured_without_escapes() {
        let name = "\"".repeat(150);
        let map = json!({ &*name: "\n".repeat(1_000) });
        check_person(&map, None);
        check_person(&json!({ name + "x": 1 }), Some("attribute name"));
        check_person(
            &json!({"\"": "\n".repeat(1_001)}),
            Some(r#"attribute `\"`"#),
        );
    }

    /// Gives a name, a value that is left out, and another value.
    struct TwoValues;

    impl Serialize for TwoValues {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap;
            let mut map = serializer.serialize_map(None)?;
            map.serialize_key("a")?;
            map.serialize_value(&None::<u8>)?;
            map.serialize_value(&5)?;
            map.end()
        }
    }

    #[test]
    fn a_second_value_for_one_name_is_an_error() {
        assert!(Attributes::from_serialize(&TwoValues).is_err());
    }

    #[test]
    fn equality_compares_values() {
        let of = |value: &Value| Attributes::from_serialize(value).unwrap();
        assert_eq!(
            of(&json!({"a": 1, "b": "x"})),
            of(&json!({"b": "x", "a": 1}))
        );
        assert_ne!(of(&json!({"a": 1})), of(&json!({"a": 2})));
        assert_ne!(of(&json!({"a": 1})), of(&json!({"b": 1})));
        assert_ne!(of(&json!({})), Attributes::with(Validation::Off));
    }
}
