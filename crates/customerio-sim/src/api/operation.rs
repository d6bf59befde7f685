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
    /// Without a person, the event is anonymous.
    Event {
        person: Option<Identifier>,
        event: TrackedEvent,
    },
    Form {
        id: String,
        person: Identifier,
        data: Map<String, Value>,
    },
    Identify {
        person: Identifier,
        attributes: Map<String, Value>,
        objects: Vec<Relationship<ObjectIdentifier>>,
    },
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
    Metric(String),
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
