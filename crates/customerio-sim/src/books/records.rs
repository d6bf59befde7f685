use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::setting::InvalidSetting;

/// What the simulator knows of one person.
///
/// A person is whoever goes by one identifier: an id and an email address that belong together in the real service are
/// two people here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// The attributes as last set; `null` or an empty string has removed one.
    pub attributes: Map<String, Value>,
    /// The devices by their tokens.
    pub devices: BTreeMap<String, Value>,
    /// How many identify operations were applied.
    pub updates: u64,
    /// How many events were applied, without duplicates unless those count.
    pub events: u64,
}

impl Person {
    /// Sets an attribute; `null` or an empty string removes it.
    pub(super) fn set(&mut self, name: String, value: Value) {
        set(&mut self.attributes, name, value);
    }

    /// Takes over what `other` has and this person has not.
    pub(super) fn absorb(&mut self, other: Self) {
        self.events += other.events;
        for (name, value) in other.attributes {
            self.attributes.entry(name).or_insert(value);
        }
        for (token, device) in other.devices {
            self.devices.entry(token).or_insert(device);
        }
    }
}

/// Sets an attribute; `null` or an empty string removes it.
pub(super) fn set(attributes: &mut Map<String, Value>, name: String, value: Value) {
    let removes = value.is_null() || value.as_str() == Some("");
    if removes {
        attributes.remove(&name);
    } else {
        attributes.insert(name, value);
    }
}

/// What the simulator knows of one event that carries an id.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The name, trimmed.
    pub name: String,
    /// The identifier of the person as it was sent; none for an anonymous event.
    pub person: Option<String>,
    /// In Unix seconds.
    pub timestamp: Option<i64>,
    /// What came with the event.
    pub attributes: Map<String, Value>,
    /// How often an event with this id was received, the first time included.
    pub received: u64,
}

/// Whether an event whose id was seen before is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedupe {
    /// Ignores it, as Customer.io does.
    #[default]
    On,
    /// Applies it again.
    Off,
}

impl FromStr for Dedupe {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(InvalidSetting::new("dedupe", text, "on or off")),
        }
    }
}
