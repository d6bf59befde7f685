//! Triggers of broadcasts, in the App API.

use serde_json::{Map, Value};

use super::check;
use super::filter::Filter;
use super::identifier::Identifier;
use super::rejection::Rejection;

/// A valid trigger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BroadcastTrigger {
    /// The members of the request.
    pub(crate) request: Map<String, Value>,
    /// The people who must exist, and the member that names them.
    pub(crate) required: Vec<Identifier>,
    pub(crate) audience: &'static str,
}

/// `POST /v1/campaigns/{broadcast_id}/triggers`.
pub(crate) fn trigger(body: &[u8]) -> Result<BroadcastTrigger, Rejection> {
    if body.len() > MAX_BYTES {
        let message = format!("payload cannot be longer than {MAX_BYTES} bytes");
        return Err(Rejection::too_large("", message));
    }
    let mut request = check::nullable_object(body)?;
    let data = check::optional_object(&mut request, "data", "data")?;
    if check::size(&data) > MAX_DATA_BYTES {
        let message = format!("data cannot be longer than {MAX_DATA_BYTES} bytes");
        return Err(Rejection::invalid("data", message));
    }
    if !data.is_empty() {
        request.insert("data".to_owned(), data.into());
    }
    for key in [
        "email_add_duplicates",
        "email_ignore_missing",
        "id_ignore_missing",
    ] {
        check::optional_boolean(&request, key)?;
    }
    let mut audiences = AUDIENCES
        .into_iter()
        .filter(|key| request.contains_key(*key));
    let audience = audiences.next().unwrap_or_default();
    if let Some(second) = audiences.next() {
        let message = format!("{audience} and {second} exclude each other");
        return Err(Rejection::invalid(second, message));
    }
    let required = required_people(audience, &request)?;
    Ok(BroadcastTrigger {
        request,
        required,
        audience,
    })
}

/// Checks the audience, and returns the people who must exist.
fn required_people(
    audience: &str,
    request: &Map<String, Value>,
) -> Result<Vec<Identifier>, Rejection> {
    let Some(value) = request.get(audience) else {
        return Ok(Vec::new());
    };
    let people = match audience {
        "recipients" => {
            if value.as_object().is_some_and(Map::is_empty) {
                return Err(Rejection::invalid(
                    audience,
                    "empty recipients filter is not valid",
                ));
            }
            Filter::read(audience, value)?;
            Vec::new()
        }
        "data_file_url" => {
            check::required_string(request, audience)?;
            Vec::new()
        }
        "emails" => list(audience, value, |email| of_kind("email", email))?,
        "ids" => list(audience, value, |id| of_kind("id", id))?,
        _ => list(audience, value, user)?,
    };
    let ignores = |key: &str| request.get(key) == Some(&Value::Bool(true));
    let is_required = |person: &Identifier| match person {
        Identifier::Email(_) => !ignores("email_ignore_missing"),
        _ => !ignores("id_ignore_missing"),
    };
    Ok(people.into_iter().filter(is_required).collect())
}

fn list(
    audience: &str,
    value: &Value,
    read: impl Fn(&Value) -> Result<Identifier, Rejection>,
) -> Result<Vec<Identifier>, Rejection> {
    let invalid = |message: String| Rejection::invalid(audience, message);
    let list = value
        .as_array()
        .ok_or_else(|| invalid(format!("{audience} must be an array")))?;
    if list.len() > MAX_PEOPLE {
        let message = format!("{audience} cannot contain more than {MAX_PEOPLE} items");
        return Err(invalid(message));
    }
    // The pointer of an error names the audience, and not a member of an item.
    let people = list.iter().map(read).collect::<Result<_, _>>();
    people.map_err(|rejection| invalid(rejection.message))
}

/// Reads an item of `per_user_data`.
fn user(item: &Value) -> Result<Identifier, Rejection> {
    let mut item = item
        .as_object()
        .cloned()
        .ok_or_else(|| Rejection::invalid("", "an item must be an object"))?;
    check::optional_object(&mut item, "data", "data")?;
    Identifier::in_object("item", Some(&item.into()), &["email", "id"])
}

fn of_kind(kind: &str, value: &Value) -> Result<Identifier, Rejection> {
    let keys = Map::from_iter([(kind.to_owned(), value.clone())]);
    Identifier::in_object(kind, Some(&keys.into()), &[kind])
}

/// The members that name an audience. A trigger has at most one of them.
const AUDIENCES: [&str; 5] = [
    "recipients",
    "emails",
    "ids",
    "per_user_data",
    "data_file_url",
];
// The limits that the API documents. It says MB, of which the stricter reading is 1,000,000 bytes.
const MAX_BYTES: usize = 25_000_000;
const MAX_DATA_BYTES: usize = 50_000;
const MAX_PEOPLE: usize = 10_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(body: &Value, expected: Option<&str>) {
        let field = trigger(body.to_string().as_bytes()).err();
        let field = field.map(|rejection| rejection.field);
        assert_eq!(field.as_deref(), expected, "{body}");
    }

    #[test]
    fn a_trigger_has_at_most_one_audience() {
        check(&json!({}), None);
        check(&json!({"data": {"headline": "h"}}), None);
        check(&json!({"ids": ["1"], "id_ignore_missing": true}), None);
        check(&json!({"emails": ["a@b.co"]}), None);
        check(
            &json!({"per_user_data": [{"id": "1", "data": {}}, {"email": "a@b.co"}]}),
            None,
        );
        check(&json!({"data_file_url": "https://a.co/b"}), None);
        check(&json!({"ids": ["1"], "emails": ["a@b.co"]}), Some("ids"));
        check(&json!({"ids": "1"}), Some("ids"));
        check(&json!({"ids": [1]}), Some("ids"));
        check(&json!({"ids": vec!["1"; 10_001]}), Some("ids"));
        check(
            &json!({"per_user_data": [{"data": {}}]}),
            Some("per_user_data"),
        );
        check(&json!({"id_ignore_missing": 1}), Some("id_ignore_missing"));
        check(&json!({"data": []}), Some("data"));
        check(&json!({"data": {"a": "x".repeat(50_000)}}), Some("data"));
    }

    #[test]
    fn the_recipients_are_a_filter() {
        check(&json!({"recipients": {"segment": {"id": 7}}}), None);
        check(&json!({"recipients": {}}), Some("recipients"));
        check(
            &json!({"recipients": {"segment": {"id": "7"}}}),
            Some("recipients"),
        );
    }
}
