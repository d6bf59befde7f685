use serde_json::{Map, Value};

use super::event::Tracked;
use super::identifier::Identifier;
use super::link::{Link, Party};
use super::object::ObjectName;

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
    Delivery {
        id: String,
        news: DeliveryNews,
    },
    /// The person is none for an anonymous event.
    Event {
        person: Option<Identifier>,
        event: Tracked,
    },
    Form {
        id: String,
        person: Identifier,
        data: Map<String, Value>,
    },
    Identify {
        person: Identifier,
        attributes: Map<String, Value>,
        objects: Vec<Link<ObjectName>>,
    },
    Merge {
        primary: Identifier,
        secondary: Identifier,
    },
    Object {
        object: ObjectName,
        change: ObjectChange,
    },
    /// Adds relationships of a person.
    Relate {
        person: Identifier,
        objects: Vec<Link<ObjectName>>,
    },
    Segment {
        id: u64,
        people: Vec<Identifier>,
        membership: Membership,
    },
    Suppress(Identifier),
    /// Deletes relationships of a person.
    Unrelate {
        person: Identifier,
        objects: Vec<Link<ObjectName>>,
    },
    Unsuppress(Identifier),
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ObjectChange {
    Delete,
    Identify {
        attributes: Map<String, Value>,
        parties: Vec<Link<Party>>,
    },
    Unrelate(Vec<Link<Party>>),
}

/// What is reported of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryNews {
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
