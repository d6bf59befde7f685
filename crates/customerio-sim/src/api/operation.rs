use serde_json::{Map, Value};

use super::event::TrackedEvent;
use super::identifier::Identifier;
use super::object::ObjectIdentifier;
use super::relationship::{RelatedPerson, Relationship};

/// One valid operation of a request.
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
    Delivery {
        id: String,
        report: DeliveryReport,
    },
    Event {
        source: Source,
        event: TrackedEvent,
    },
    Form {
        id: String,
        person: Identifier,
        data: Map<String, Value>,
    },
    Identify(Identify),
    Merge {
        primary: Identifier,
        secondary: Identifier,
    },
    Object {
        object: ObjectIdentifier,
        change: ObjectChange,
    },
    AddRelationships {
        person: Identifier,
        objects: Vec<Relationship<ObjectIdentifier>>,
    },
    Segment {
        id: u64,
        people: Vec<Identifier>,
        membership: Membership,
    },
    Suppress(Identifier),
    DeleteRelationships {
        person: Identifier,
        objects: Vec<Relationship<ObjectIdentifier>>,
    },
    Unsuppress(Identifier),
}

/// An update of a person.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identify {
    pub(crate) person: Identifier,
    /// Without the reserved keys that are no attributes.
    pub(crate) attributes: Map<String, Value>,
    /// Whether an unknown person stays unknown, and the update has no effect.
    pub(crate) update_only: bool,
    /// When the update happened, in Unix seconds. `None` is the time of arrival.
    pub(crate) timestamp: Option<i64>,
    pub(crate) related: Vec<Relationship<ObjectIdentifier>>,
    pub(crate) unrelated: Vec<Relationship<ObjectIdentifier>>,
}

impl Identify {
    /// Returns an update without a time of its own and without relationships.
    pub(crate) fn new(person: Identifier, attributes: Map<String, Value>) -> Self {
        Self {
            person,
            attributes,
            update_only: false,
            timestamp: None,
            related: Vec::new(),
            unrelated: Vec::new(),
        }
    }

    /// Returns the attribute that makes the events of a visitor those of the person.
    pub(crate) fn anonymous_id(&self) -> Option<String> {
        match self.attributes.get("anonymous_id")? {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }
}

/// The person or visitor of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A visitor who may be identified later.
    Anonymous(String),
    /// Without an anonymous id, the event invites a recipient and belongs to no person.
    Invite,
    Person(Identifier),
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ObjectChange {
    Delete,
    Identify {
        attributes: Map<String, Value>,
        people: Vec<Relationship<RelatedPerson>>,
    },
    DeleteRelationships(Vec<Relationship<RelatedPerson>>),
}

/// A report about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryReport {
    Metric {
        name: String,
        /// The link of a click.
        href: Option<String>,
        /// The reason of a failure.
        reason: Option<String>,
    },
    Subscription(Subscription),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Subscribed,
    Unsubscribed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Added,
    Removed,
}
