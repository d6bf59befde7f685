use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::setting::InvalidSetting;

/// The record of one event that carries an id.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The name, without white space around it.
    pub name: String,
    /// The identifier of the person as it was sent. `None` for an anonymous event.
    pub person: Option<String>,
    /// In Unix seconds.
    pub timestamp: Option<i64>,
    /// The event's data.
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
