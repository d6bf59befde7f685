use serde::Serialize;

use crate::error::check_length;
use crate::json::{JsonObject, list};
use crate::{Attributes, InvalidInput};

/// The longest anonymous id, in bytes. The API documents this limit for a person's id only.
const MAX_ID: usize = 150;

/// A relationship with a `T`: of a person with an [`Object`](crate::Object), or of an object with a
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
    /// Creates a relationship with `other`.
    pub fn with(other: T) -> Self {
        Self {
            with: other,
            attributes: Attributes::new(),
        }
    }

    /// Sets the attributes of the relationship.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }
}

impl<T: Serialize> Relationship<T> {
    /// Appends a list of relationships to `json`.
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

/// The identifier of an anonymous visitor.
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
