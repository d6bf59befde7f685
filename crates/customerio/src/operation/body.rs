use serde::Serialize;

use crate::device::DeviceBody;
use crate::json::JsonObject;
use crate::{Attributes, EventId, Object, Person, Relationship, Timestamp};

/// The usual size of an operation without its attributes, so that the buffer rarely grows.
const HEAD: usize = 160;

/// An operation on one person. Members that an action does not use are left out.
#[derive(Serialize)]
pub(super) struct PersonBody<'a> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) identifiers: &'a Person,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<DeviceBody<'a>>,
    #[serde(skip)]
    pub(super) attributes: Option<&'a Attributes>,
    #[serde(skip)]
    pub(super) cio_relationships: &'a [Relationship<Object>],
}

impl<'a> PersonBody<'a> {
    pub(super) fn new(action: &'static str, person: &'a Person) -> Self {
        Self {
            r#type: "person",
            action,
            identifiers: person,
            name: None,
            id: None,
            timestamp: None,
            device: None,
            attributes: None,
            cio_relationships: &[],
        }
    }

    /// Sets the attributes, if there are any.
    pub(super) fn attributes(self, attributes: &'a Attributes) -> Self {
        Self {
            attributes: Some(attributes),
            ..self
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serialize(self, self.attributes, self.cio_relationships)
    }
}

/// An operation on one object and its relationships.
#[derive(Serialize)]
pub(super) struct ObjectBody<'a, R> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) identifiers: &'a Object,
    #[serde(skip)]
    pub(super) attributes: Option<&'a Attributes>,
    #[serde(skip)]
    pub(super) cio_relationships: &'a [Relationship<R>],
}

impl<R: Serialize> ObjectBody<'_, R> {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serialize(self, self.attributes, self.cio_relationships)
    }
}

/// A merge: the only operation without `identifiers`.
#[derive(Serialize)]
pub(super) struct MergeBody<'a> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) primary: &'a Person,
    pub(super) secondary: &'a Person,
}

/// An operation on one delivery of a message.
#[derive(Serialize)]
pub(super) struct DeliveryBody<'a> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) identifiers: DeliveryId<'a>,
    pub(super) name: &'static str,
    pub(super) attributes: DeviceToken<'a>,
}

#[derive(Serialize)]
pub(super) struct DeliveryId<'a> {
    pub(super) id: &'a str,
}

#[derive(Serialize)]
pub(super) struct DeviceToken<'a> {
    pub(super) device_token: &'a str,
}

/// Serializes an operation with its attributes and relationships. Empty ones are left out.
fn serialize<R: Serialize>(
    head: &impl Serialize,
    attributes: Option<&Attributes>,
    relationships: &[Relationship<R>],
) -> Vec<u8> {
    let mut json = Vec::with_capacity(HEAD + attributes.map_or(0, Attributes::size));
    let mut object = JsonObject::open(&mut json, head);
    if let Some(attributes) = attributes.filter(|attributes| !attributes.is_empty()) {
        object = object.member("attributes", |json| attributes.write(json));
    }
    if !relationships.is_empty() {
        object = object.member("cio_relationships", |json| {
            Relationship::write_all(relationships, json);
        });
    }
    object.close();
    json
}
