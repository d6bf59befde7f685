use serde_json::{Map, Value};

use super::check;
use super::identifier::Identifier;
use super::object::ObjectIdentifier;
use super::rejection::Rejection;

/// One relationship, as one of its two sides has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Relationship<T> {
    /// The other side.
    pub(crate) with: T,
    pub(crate) attributes: Map<String, Value>,
}

/// A person that an object is related to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RelatedPerson {
    Anonymous(String),
    Identified(Identifier),
}

/// Reads the required array of v2.
pub(super) fn required<T>(
    from: &Map<String, Value>,
    with: fn(Option<&Value>) -> Result<T, Rejection>,
) -> Result<Vec<Relationship<T>>, Rejection> {
    let list = from.get("cio_relationships").ok_or_else(|| {
        Rejection::required("cio_relationships", "cio_relationships must be present")
    })?;
    read(list, with)
}

/// Reads the optional array of v2.
pub(super) fn optional<T>(
    from: &Map<String, Value>,
    with: fn(Option<&Value>) -> Result<T, Rejection>,
) -> Result<Vec<Relationship<T>>, Rejection> {
    match from.get("cio_relationships") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => read(list, with),
    }
}

/// Reads the array `list`, with `with` for the other side of each relationship.
pub(super) fn read<T>(
    list: &Value,
    with: fn(Option<&Value>) -> Result<T, Rejection>,
) -> Result<Vec<Relationship<T>>, Rejection> {
    let list = list.as_array().ok_or_else(|| {
        Rejection::invalid("cio_relationships", "cio_relationships must be an array")
    })?;
    list.iter().map(|item| one(item, with)).collect()
}

fn one<T>(
    item: &Value,
    with: fn(Option<&Value>) -> Result<T, Rejection>,
) -> Result<Relationship<T>, Rejection> {
    let mut item = item
        .as_object()
        .cloned()
        .ok_or_else(|| Rejection::invalid("cio_relationships", "a relationship must be a hash"))?;
    Ok(Relationship {
        with: with(item.get("identifiers"))?,
        attributes: check::optional_object(
            &mut item,
            "relationship_attributes",
            "relationship_attributes",
        )?,
    })
}

pub(super) fn object(identifiers: Option<&Value>) -> Result<ObjectIdentifier, Rejection> {
    ObjectIdentifier::in_object(identifiers)
}

pub(super) fn person(identifiers: Option<&Value>) -> Result<RelatedPerson, Rejection> {
    Identifier::in_object("identifiers", identifiers, &["id", "email", "cio_id"])
        .map(RelatedPerson::Identified)
}

pub(super) fn anonymous(identifiers: Option<&Value>) -> Result<RelatedPerson, Rejection> {
    let keys = identifiers.and_then(Value::as_object).ok_or_else(|| {
        Rejection::required("identifiers", "identifiers must be present and a hash")
    })?;
    if keys.len() != 1 {
        return Err(Rejection::invalid(
            "identifiers",
            "identifiers must contain anonymous_id alone",
        ));
    }
    check::required_string(keys, "anonymous_id").map(RelatedPerson::Anonymous)
}
