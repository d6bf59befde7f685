use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// The record of one person.
///
/// A person has one identifier. An id and an email address that belong together in the real service
/// are two people here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// The attributes as last set. `null` and an empty string remove one.
    pub attributes: Map<String, Value>,
    /// The devices by their tokens.
    pub devices: BTreeMap<String, Value>,
    /// How many identify operations were applied.
    pub updates: u64,
    /// How many events were applied. Duplicates count only with
    /// [`Dedupe::Off`](crate::Dedupe::Off).
    pub events: u64,
}

impl Person {
    /// Sets an attribute. `null` and an empty string remove it.
    pub(super) fn set(&mut self, name: String, value: Value) {
        set(&mut self.attributes, name, value);
    }

    /// Adds the events of `other`, and its attributes and devices that this person does not have.
    pub(super) fn merge(&mut self, other: Self) {
        self.events += other.events;
        // An attribute that both have keeps the value of the primary, as in the API.
        for (name, value) in other.attributes {
            self.attributes.entry(name).or_insert(value);
        }
        for (token, device) in other.devices {
            self.devices.entry(token).or_insert(device);
        }
    }
}

/// Sets an attribute. `null` and an empty string remove it.
pub(super) fn set(attributes: &mut Map<String, Value>, name: String, value: Value) {
    let removes = value.is_null() || value.as_str() == Some("");
    if removes {
        attributes.remove(&name);
    } else {
        attributes.insert(name, value);
    }
}
