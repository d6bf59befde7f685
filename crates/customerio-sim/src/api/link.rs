use serde_json::{Map, Value};

use super::check;
use super::identifier::Identifier;
use super::object::ObjectName;
use super::refusal::Refusal;

/// One relationship, seen from its other side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link<T> {
    pub(crate) with: T,
    pub(crate) attributes: Map<String, Value>,
}

/// Whom an object is related to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Party {
    Anonymous(String),
    Person(Identifier),
}

/// Reads the array of version 2, which must be there.
pub(super) fn required<T>(
    from: &Map<String, Value>,
    with: fn(Option<&Value>) -> Result<T, Refusal>,
) -> Result<Vec<Link<T>>, Refusal> {
    let list = from.get("cio_relationships").ok_or_else(|| {
        Refusal::required("cio_relationships", "cio_relationships must be present")
    })?;
    read(list, with)
}

/// Reads the array of version 2, if it is there.
pub(super) fn optional<T>(
    from: &Map<String, Value>,
    with: fn(Option<&Value>) -> Result<T, Refusal>,
) -> Result<Vec<Link<T>>, Refusal> {
    match from.get("cio_relationships") {
        None => Ok(Vec::new()),
        Some(list) => read(list, with),
    }
}

pub(super) fn read<T>(
    list: &Value,
    with: fn(Option<&Value>) -> Result<T, Refusal>,
) -> Result<Vec<Link<T>>, Refusal> {
    let list = list.as_array().ok_or_else(|| {
        Refusal::invalid("cio_relationships", "cio_relationships must be an array")
    })?;
    list.iter().map(|item| one(item, with)).collect()
}

fn one<T>(
    item: &Value,
    with: fn(Option<&Value>) -> Result<T, Refusal>,
) -> Result<Link<T>, Refusal> {
    let mut item = item
        .as_object()
        .cloned()
        .ok_or_else(|| Refusal::invalid("cio_relationships", "a relationship must be a hash"))?;
    Ok(Link {
        with: with(item.get("identifiers"))?,
        attributes: check::optional_object(
            &mut item,
            "relationship_attributes",
            "relationship_attributes",
        )?,
    })
}

pub(super) fn object(identifiers: Option<&Value>) -> Result<ObjectName, Refusal> {
    ObjectName::in_object(identifiers)
}

pub(super) fn person(identifiers: Option<&Value>) -> Result<Party, Refusal> {
    Identifier::in_object("identifiers", identifiers, &["id", "email", "cio_id"]).map(Party::Person)
}

pub(super) fn anonymous(identifiers: Option<&Value>) -> Result<Party, Refusal> {
    let keys = identifiers.and_then(Value::as_object).ok_or_else(|| {
        Refusal::required("identifiers", "identifiers must be present and a hash")
    })?;
    if keys.len() != 1 {
        return Err(Refusal::invalid(
            "identifiers",
            "identifiers must contain anonymous_id alone",
        ));
    }
    check::required_string(keys, "anonymous_id").map(Party::Anonymous)
}
