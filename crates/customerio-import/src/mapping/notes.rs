//! Notes for the plan: values that can be sent and are probably wrong.

use std::hash::{DefaultHasher, Hash, Hasher};

use customerio::Person;
use serde_json::Value;

use super::values::Attribute;
use crate::suspect_id::SuspectId;

/// The notes of a record that can be sent. The plan counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The column of an id that a program has probably changed, and why.
    pub(crate) suspect_id: Option<(String, SuspectId)>,
    /// Whether the person has an attribute `email` that is not an e-mail address.
    pub(crate) has_odd_email: bool,
    /// The columns that Customer.io reads as booleans, and whose values are none.
    pub(crate) odd_booleans: Vec<String>,
    /// The number of attributes that the record removes.
    pub(crate) removals: u64,
    /// A hash of the person or object that the record creates or updates. A second record with the
    /// same one changes the first one's attributes.
    pub(crate) subject: Option<u64>,
}

/// The name of the attribute that Customer.io uses as a person's address.
const EMAIL: &str = "email";

/// The attribute that unsubscribes a person from everything.
const UNSUBSCRIBED: &str = "unsubscribed";

/// The attributes with a person's subscriptions: as an object, or a dotted name for each topic.
const PREFERENCES: &str = "cio_subscription_preferences";

/// The attribute by which a person is updated and never created.
const UPDATE: &str = "_update";

impl Notes {
    /// Adds the notes about the attributes of a person.
    pub(super) fn add_person(&mut self, resolved: &[Attribute]) {
        for attribute in resolved {
            let (name, value) = (attribute.name(), &attribute.value);
            self.has_odd_email |= name == EMAIL && is_not_an_address(value);
            if !is_read_as_meant(name, value) {
                self.odd_booleans.push(attribute.column.clone());
            }
        }
        self.add_removals(resolved);
    }

    pub(super) fn add_removals(&mut self, resolved: &[Attribute]) {
        let removals = resolved
            .iter()
            .filter(|attribute| attribute.value.is_null());
        self.removals += removals.count() as u64;
    }

    /// Sets the person or object that the record creates or updates.
    pub(super) fn set_subject(&mut self, key: &impl Hash) {
        // Not seeded: the hash only finds records to warn about.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.subject = Some(hasher.finish());
    }
}

fn is_not_an_address(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => Person::email(text).is_err(),
        _ => true,
    }
}

/// Returns whether Customer.io reads the value of one of its own booleans as a person reads it.
/// Other attributes can have any value.
///
/// For `unsubscribed`, the API documents `true` in any case, 1 and "1" as true, and everything else
/// as false: "yes" and a removed attribute subscribe the person. For subscriptions it documents
/// JSON booleans only.
fn is_read_as_meant(name: &str, value: &Value) -> bool {
    match name {
        UNSUBSCRIBED => match value {
            Value::Bool(_) => true,
            Value::Number(number) => matches!(number.as_u64(), Some(0 | 1)),
            Value::String(text) => {
                ["true", "false", "1", "0"].contains(&text.to_ascii_lowercase().as_str())
            }
            _ => false,
        },
        UPDATE => value.is_boolean(),
        PREFERENCES => has_booleans_only(value),
        _ if name
            .strip_prefix(PREFERENCES)
            .is_some_and(|rest| rest.starts_with('.')) =>
        {
            has_booleans_only(value)
        }
        _ => true,
    }
}

/// Returns true for a boolean, and for an object with booleans at any depth.
fn has_booleans_only(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Object(members) => members.values().all(has_booleans_only),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(name: &str, value: &Value, expected: bool) {
        assert_eq!(is_read_as_meant(name, value), expected, "{name}: {value}");
    }

    #[test]
    fn unsubscribed_is_read_from_text_and_numbers_too() {
        for value in [
            json!(true),
            json!(false),
            json!("true"),
            json!("TRUE"),
            json!("False"),
            json!("1"),
            json!("0"),
            json!(1),
            json!(0),
        ] {
            check("unsubscribed", &value, true);
        }
        for value in [
            json!("yes"),
            json!("no"),
            json!(" true"),
            json!("t"),
            json!("unsubscribed"),
            json!(2),
            json!(1.0),
            json!(null),
            json!([true]),
        ] {
            check("unsubscribed", &value, false);
        }
    }

    #[test]
    fn subscriptions_are_json_booleans() {
        let topic = "cio_subscription_preferences.topics.topic_1";
        check(topic, &json!(false), true);
        for value in [
            json!("false"),
            json!("true"),
            json!(0),
            json!("no"),
            json!(null),
        ] {
            check(topic, &value, false);
        }
        let object = "cio_subscription_preferences";
        check(object, &json!({"topics": {"topic_1": false}}), true);
        check(object, &json!({"topics": {"topic_1": "false"}}), false);
        check(object, &json!("{}"), false);
        check("_update", &json!("true"), false);
    }

    #[test]
    fn other_attributes_have_any_value() {
        for name in [
            "unsubscribed_at",
            "Unsubscribed",
            "cio_subscription_preferences2",
            "plan",
        ] {
            check(name, &json!("no"), true);
        }
    }
}
