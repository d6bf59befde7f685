use crate::{InvalidInput, Person};

/// The template of the path of a person.
pub(super) const PERSON: &str = "/api/v1/customers/{id}";

/// Returns the path of something about a person.
pub(super) fn path(person: &Person, rest: &str) -> Result<String, InvalidInput> {
    Ok(format!(
        "/api/v1/customers/{}{rest}",
        person.path_segment()?
    ))
}
