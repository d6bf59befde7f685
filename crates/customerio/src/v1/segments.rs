use serde::Serialize;

use super::V1Request;
use crate::error::{check_count, check_some};
use crate::json::to_bytes;
use crate::{InvalidInput, Person, Request};

/// The documented number of people in one request.
const MAX_PEOPLE: usize = 1_000;

/// Adds people to a manual segment, which must exist. The API ignores unknown people.
///
/// ```
/// use customerio::{Person, v1};
/// let request = v1::add_to_segment(7, &[Person::email("a@b.co")?])?;
/// assert_eq!(request.path(), "/api/v1/segments/7/add_customers?id_type=email");
/// assert_eq!(request.body().as_deref(), Some(&br#"{"ids":["a@b.co"]}"#[..]));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// # Errors
///
/// There are no people or more than 1,000, their identifiers are of several kinds, or they are
/// identified by phone numbers.
pub fn add_to_segment(segment: u64, people: &[Person]) -> Result<Request, InvalidInput> {
    change(
        "/api/v1/segments/{segment_id}/add_customers",
        segment,
        people,
    )
}

/// Removes people from a manual segment.
///
/// # Errors
///
/// As for [`add_to_segment`].
pub fn remove_from_segment(segment: u64, people: &[Person]) -> Result<Request, InvalidInput> {
    change(
        "/api/v1/segments/{segment_id}/remove_customers",
        segment,
        people,
    )
}

#[derive(Serialize)]
struct Ids<'a> {
    ids: Vec<&'a str>,
}

fn change(route: &'static str, segment: u64, people: &[Person]) -> Result<Request, InvalidInput> {
    let kind = common_kind(people)?;
    let path = route.replace("{segment_id}", &segment.to_string());
    let path = format!("{path}?id_type={kind}");
    let ids = people.iter().map(Person::bare).collect();
    Ok(V1Request::post(route, path, to_bytes(&Ids { ids })).into())
}

/// Returns the kind of all identifiers: a request supports one kind only.
fn common_kind(people: &[Person]) -> Result<&'static str, InvalidInput> {
    check_some("people", people.len())?;
    check_count("people", people.len(), MAX_PEOPLE)?;
    let kind = people[0].key();
    people.iter().try_for_each(Person::check_not_phone)?;
    if people.iter().any(|person| person.key() != kind) {
        return Err(InvalidInput::malformed(
            "people",
            "have several kinds of identifiers; create one request for each kind",
        ));
    }
    Ok(kind)
}
