use serde::Serialize;

use crate::error::check_length;
use crate::json::{JsonObject, list};
use crate::{Attributes, InvalidInput};

/// The documented limit of a person's id, in bytes, which is taken for anonymous ones as well.
const MAX_ID: usize = 150;

/// Relates somebody or something to `T`: a person to an [`Object`](crate::Object), or an object to a
/// [`Person`](crate::Person).
///
/// ```
/// use customerio::{Attributes, Object, Operation, Person, Relationship};
/// let mut role = Attributes::new();
/// role.insert("role", "admin")?;
/// let membership = Relationship::with(Object::new(1, "acme")?).attributes(role);
/// assert!(Operation::add_relationships(&Person::id("u1")?, &[membership]).is_ok());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct Relationship<T> {
    #[serde(rename = "identifiers")]
    pub(crate) with: T,
    #[serde(rename = "relationship_attributes")]
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

impl<T> Relationship<T> {
    /// Names the other side.
    pub fn with(other: T) -> Self {
        Self {
            with: other,
            attributes: Attributes::new(),
        }
    }

    /// Sets what is known of the relationship itself.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }
}

impl<T: Serialize> Relationship<T> {
    /// Writes a list of relationships as JSON behind what is in `json`.
    pub(crate) fn write_all(relationships: &[Self], json: &mut Vec<u8>) {
        list(json, relationships, Self::write);
    }

    fn write(&self, json: &mut Vec<u8>) {
        let head = Head {
            identifiers: &self.with,
        };
        let mut object = JsonObject::open(json, &head);
        if !self.attributes.is_empty() {
            object = object.member("relationship_attributes", |json| {
                self.attributes.write(json);
            });
        }
        object.close();
    }
}

#[derive(Serialize)]
struct Head<'a, T> {
    identifiers: &'a T,
}

/// Names somebody who is not identified yet.
#[derive(Serialize)]
pub(crate) struct AnonymousId<'a> {
    anonymous_id: &'a str,
}

impl<'a> AnonymousId<'a> {
    pub(crate) fn new(anonymous_id: &'a str) -> Result<Self, InvalidInput> {
        check_length("anonymous id", anonymous_id, MAX_ID)?;
        Ok(Self { anonymous_id })
    }

    pub(crate) fn related(self) -> Relationship<Self> {
        Relationship::with(self)
    }
}
