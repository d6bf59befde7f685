use serde::Serialize;
use serde_json::Value;

use super::Call;
use super::path::{PERSON, path};
use crate::error::check_some;
use crate::operation::to_bytes;
use crate::{InvalidInput, Object, Person, Relationship, Request};

/// Relates a person to objects.
///
/// # Errors
///
/// The id has the shape of another kind, or there is no relationship.
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

/// The object of version 1, where version 2 has an array beside the action.
#[derive(Serialize)]
pub(super) struct Relationships<'a> {
    action: &'static str,
    relationships: &'a [Relationship<Object>],
}

impl<'a> Relationships<'a> {
    /// Returns what an identify carries.
    pub(super) fn added(relationships: &'a [Relationship<Object>]) -> Self {
        Self {
            action: "add_relationships",
            relationships,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("keys are strings and every value was checked")
    }
}

#[derive(Serialize)]
struct Body<'a> {
    cio_relationships: Relationships<'a>,
}

fn put(
    person: &Person,
    action: &'static str,
    relationships: &[Relationship<Object>],
) -> Result<Request, InvalidInput> {
    check_some("relationships", relationships.len())?;
    let body = Body {
        cio_relationships: Relationships {
            action,
            relationships,
        },
    };
    Ok(Call::put(PERSON, path(person, "")?, to_bytes(&body)).into())
}
