use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::setting::InvalidSetting;

/// The record of one event whose id is a ULID.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The name, without white space around it.
    pub name: String,
    /// The identifier of the person. `None` for an event of a visitor that is not identified, and
    /// for one that invites a recipient.
    pub person: Option<String>,
    /// In Unix seconds.
    pub timestamp: Option<i64>,
    /// The event's data.
    pub attributes: Map<String, Value>,
    /// How often an event with this id was received, the first time included.
    pub received: u64,
}

/// Whether an event is ignored whose id is a ULID and was seen before.
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
