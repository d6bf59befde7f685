use serde::Serialize;

use super::V1Request;
use super::people::{PERSON, path};
use crate::error::check_some;
use crate::json::JsonObject;
use crate::{Attributes, InvalidInput, Object, Person, Relationship, Request};

/// Relates a person to objects.
///
/// # Errors
///
/// The id looks like another kind, or the list is empty.
pub fn add_relationships(
    person: &Person,
    relationships: &[Relationship<Object>],
) -> Result<Request, InvalidInput> {
    put(person, "add_relationships", relationships)
}

/// Ends the relationships of a person with objects.
///
/// # Errors
///
/// As for [`add_relationships`].
pub fn delete_relationships(
    person: &Person,
    relationships: &[Relationship<Object>],
) -> Result<Request, InvalidInput> {
    put(person, "delete_relationships", relationships)
}

/// The object of version 1. Version 2 has an array beside the action.
#[derive(Serialize)]
pub(super) struct Relationships<'a> {
    action: &'static str,
    #[serde(skip)]
    relationships: &'a [Relationship<Object>],
}

impl<'a> Relationships<'a> {
    /// Returns the object of an identify.
    pub(super) fn added(relationships: &'a [Relationship<Object>]) -> Self {
        Self {
            action: "add_relationships",
            relationships,
        }
    }

    pub(super) fn write(&self, json: &mut Vec<u8>) {
        let object = JsonObject::open(json, self);
        let all = |json: &mut Vec<u8>| Relationship::write_all(self.relationships, json);
        object.member("relationships", all).close();
    }
}

fn put(
    person: &Person,
    action: &'static str,
    relationships: &[Relationship<Object>],
) -> Result<Request, InvalidInput> {
    check_some("relationships", relationships.len())?;
    let changed = Relationships {
        action,
        relationships,
    };
    let mut body = Attributes::new();
    body.set_json("cio_relationships", |json| changed.write(json));
    Ok(V1Request::put(PERSON, path(person, "")?, body.to_json()).into())
}
