use serde_json::{Map, Value};

use super::identifier::Identifier;

/// One thing that a request asks for, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    AddDevice {
        person: Identifier,
        token: String,
        device: Value,
    },
    Delete(Identifier),
    DeleteDevice {
        person: Identifier,
        token: String,
    },
    /// The person is none for an anonymous event.
    Event {
        person: Option<Identifier>,
        event: Tracked,
    },
    Identify {
        person: Identifier,
        attributes: Map<String, Value>,
    },
    Merge {
        primary: Identifier,
        secondary: Identifier,
    },
    Suppress(Identifier),
    /// Taken, but nothing of it is kept: objects, relationships, deliveries.
    Unkept,
    Unsuppress(Identifier),
}

/// The event of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) timestamp: Option<i64>,
    pub(crate) attributes: Map<String, Value>,
}
