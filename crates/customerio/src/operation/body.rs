use bytes::Bytes;
use serde::Serialize;

use crate::device::DeviceBody;
use crate::{Attributes, EventId, Object, Person, Relationship, Timestamp};

/// What is sent about one person. An action leaves out what it does not use.
#[derive(Serialize)]
pub(super) struct About<'a> {
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
    pub(super) attributes: Option<&'a Attributes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<DeviceBody<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) cio_relationships: &'a [Relationship<Object>],
}

impl<'a> About<'a> {
    pub(super) fn new(action: &'static str, person: &'a Person) -> Self {
        Self {
            r#type: "person",
            action,
            identifiers: person,
            name: None,
            id: None,
            timestamp: None,
            attributes: None,
            device: None,
            cio_relationships: &[],
        }
    }

    /// Sets the attributes, if there are any.
    pub(super) fn attributes(self, attributes: &'a Attributes) -> Self {
        Self {
            attributes: Some(attributes).filter(|attributes| !attributes.is_empty()),
            ..self
        }
    }
}

/// What is sent about one object and those whom it is related to.
#[derive(Serialize)]
pub(super) struct AboutObject<'a, R> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) identifiers: &'a Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attributes: Option<&'a Attributes>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) cio_relationships: &'a [R],
}

/// What makes one person of two. It alone has no `identifiers`.
#[derive(Serialize)]
pub(super) struct Merge<'a> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) primary: &'a Person,
    pub(super) secondary: &'a Person,
}

/// What is sent about one delivery.
#[derive(Serialize)]
pub(super) struct AboutDelivery<'a> {
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

/// Serializes what this crate builds, which cannot fail.
pub(crate) fn to_bytes(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("keys are strings and every value was checked")
        .into()
}
