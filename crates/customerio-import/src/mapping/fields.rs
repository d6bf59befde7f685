use customerio::{Attributes, Person};
use serde_json::{Map, Value};

use super::person::{Identifier, PersonColumn};
use crate::reject::Fault;

type Fields = Map<String, Value>;

/// Takes a field that must have a value, as text.
pub(super) fn take_text(fields: &mut Fields, column: &str) -> Result<String, Fault> {
    match fields.remove(column) {
        None | Some(Value::Null) => Err(valueless(column)),
        Some(Value::String(text)) if text.is_empty() => Err(valueless(column)),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(_) => Err(Fault::named(
            column,
            "is neither text nor a whole number; write it as text",
        )),
    }
}

fn valueless(column: &str) -> Fault {
    Fault::named(
        column,
        "has no value; give every record one or remove the record",
    )
}

/// Takes the person from the column that says who it is, and a text that is the same for the same
/// person.
///
/// White space around an address is no part of it; around an id it may be.
pub(super) fn take_person(
    fields: &mut Fields,
    person: &PersonColumn,
) -> Result<(Person, String), Fault> {
    let text = take_text(fields, &person.column)?;
    let (named, who) = match person.identifier {
        // The API matches addresses without regard to case.
        Identifier::Email => (Person::email(text.trim()), text.trim().to_ascii_lowercase()),
        Identifier::Id => (Person::id(&text), text),
    };
    let person = named.map_err(|error| Fault::named(&person.column, error.to_string()))?;
    Ok((person, who))
}

/// Makes attributes of all fields that are left.
///
/// Fields without a value mean "unknown". [`Attributes`] leaves them out, as the API would take
/// them for a removal.
pub(super) fn attributes(fields: Fields) -> Result<Attributes, Fault> {
    let mut attributes = Attributes::new();
    for (name, value) in fields {
        attributes
            .insert(&name, value)
            .map_err(|error| Fault::named(&name, error.to_string()))?;
    }
    Ok(attributes)
}
