use customerio::Operation;

use super::fields::{attributes, take_person};
use super::person::PersonColumn;
use crate::input::Row;
use crate::reject::Fault;

/// Maps a row to the operation that creates or updates its person.
pub(super) fn operation(person: &PersonColumn, row: Row) -> Result<Operation, Fault> {
    let mut fields = row.fields;
    let (person, _) = take_person(&mut fields, person)?;
    let attributes = attributes(fields)?;
    Operation::identify(&person, &attributes).map_err(|error| Fault::new(error.to_string()))
}
