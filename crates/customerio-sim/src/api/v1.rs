//! Track API v1: one operation per request, with the person in the path.

use serde_json::{Map, Value};

use super::identifier::Identifier;
use super::object::ObjectIdentifier;
use super::operation::{Identify, Operation, Source};
use super::rejection::Rejection;
use super::relationship::{self, Relationship};
use super::{check, device, event};

pub(crate) fn identify(person: &str, body: &[u8]) -> Result<Operation, Rejection> {
    let person = Identifier::in_path(person)?;
    let mut attributes = check::nullable_object(body)?;
    let reserved = check::take_reserved(&mut attributes)?;
    let change = attributes
        .remove("cio_relationships")
        .filter(|change| !change.is_null())
        .map(relationships)
        .transpose()?;
    // After `cio_relationships` is removed: it is no attribute in v1.
    check::attributes(&attributes)?;
    let (related, unrelated) = match change {
        Some((Action::Add, objects)) => (objects, Vec::new()),
        Some((Action::Delete, objects)) => (Vec::new(), objects),
        None => Default::default(),
    };
    Ok(Operation::Identify(Identify {
        person,
        attributes,
        update_only: reserved.update_only,
        timestamp: reserved.timestamp,
        related,
        unrelated,
    }))
}

#[derive(Clone, Copy)]
enum Action {
    Add,
    Delete,
}

/// Reads the relationships of v1: an object with an action and the array that v2 has directly.
fn relationships(
    change: Value,
) -> Result<(Action, Vec<Relationship<ObjectIdentifier>>), Rejection> {
    let Value::Object(change) = change else {
        return Err(Rejection::invalid(
            "cio_relationships",
            "cio_relationships must be a hash",
        ));
    };
    let known = ["add_relationships", "delete_relationships"];
    let action = match check::one_of(&change, "action", &known)?.as_str() {
        "add_relationships" => Action::Add,
        _ => Action::Delete,
    };
    let list = change
        .get("relationships")
        .ok_or_else(|| Rejection::required("relationships", "relationships must be present"))?;
    Ok((action, relationship::read(list, relationship::object)?))
}

pub(crate) fn delete(person: &str) -> Result<Operation, Rejection> {
    Identifier::in_path(person).map(Operation::Delete)
}

pub(crate) fn suppress(person: &str) -> Result<Operation, Rejection> {
    Identifier::in_path(person).map(Operation::Suppress)
}

pub(crate) fn unsuppress(person: &str) -> Result<Operation, Rejection> {
    Identifier::in_path(person).map(Operation::Unsuppress)
}

pub(crate) fn event(person: &str, body: &[u8]) -> Result<Operation, Rejection> {
    let source = Source::Person(Identifier::in_path(person)?);
    any_event(source, check::object(body)?)
}

pub(crate) fn anonymous_event(body: &[u8]) -> Result<Operation, Rejection> {
    let body = check::object(body)?;
    let source = match check::anonymous_id(body.get("anonymous_id"))? {
        Some(id) => Source::Anonymous(id),
        None => Source::Invite,
    };
    any_event(source, body)
}

pub(crate) fn add_device(person: &str, body: &[u8]) -> Result<Operation, Rejection> {
    let person = Identifier::in_path(person)?;
    let (token, device) = device::added(&mut check::object(body)?, "id")?;
    Ok(Operation::AddDevice {
        person,
        token,
        device,
    })
}

pub(crate) fn delete_device(person: &str, token: &str) -> Result<Operation, Rejection> {
    let person = Identifier::in_path(person)?;
    Ok(Operation::DeleteDevice {
        person,
        token: token.to_owned(),
    })
}

pub(crate) fn merge(body: &[u8]) -> Result<Operation, Rejection> {
    let body = check::object(body)?;
    let kinds = ["id", "email", "cio_id"];
    let side = |field| Identifier::in_lenient_object(field, body.get(field), &kinds);
    Ok(Operation::Merge {
        primary: side("primary")?,
        secondary: side("secondary")?,
    })
}

fn any_event(source: Source, body: Map<String, Value>) -> Result<Operation, Rejection> {
    let kind = check::optional_string(&body, "type")?;
    let event = event::tracked(kind.as_deref().unwrap_or("event"), body, "data")?;
    Ok(Operation::Event { source, event })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(result: &Result<Operation, Rejection>, expected: &str) {
        let message = result
            .as_ref()
            .err()
            .map_or("accepted", |rejection| &rejection.message);
        assert_eq!(message, expected);
    }

    fn bytes(value: &Value) -> Vec<u8> {
        serde_json::to_vec(value).unwrap()
    }

    #[test]
    fn identify_is_rejected_in_the_words_of_the_api() {
        let identify_with = |body: Value| identify("1", &bytes(&body));
        let attributes = |count: usize| {
            (0..count)
                .map(|n| (n.to_string(), json!(n)))
                .collect::<Value>()
        };
        check(
            &identify_with(json!({"plan": "pro", "seats": 3, "old": null})),
            "accepted",
        );
        check(&identify_with(attributes(300)), "accepted");
        check(
            &identify_with(attributes(301)),
            "cannot identify more than 300 attributes in one request",
        );
        check(&identify_with(json!({"x".repeat(150): 1})), "accepted");
        check(
            &identify_with(json!({"x".repeat(151): 1})),
            "attribute name cannot be longer than 150 bytes",
        );
        check(
            &identify_with(json!({"bio": "x".repeat(1_000)})),
            "accepted",
        );
        check(
            &identify_with(json!({"bio": "\n".repeat(1_000)})),
            "accepted",
        );
        check(
            &identify_with(json!({"bio": "x".repeat(1_001)})),
            "value for attribute 'bio' cannot be longer than 1000 bytes",
        );
        check(
            &identify_with(json!({"tags": vec!["x".repeat(100); 10]})),
            "value for attribute 'tags' cannot be longer than 1000 bytes",
        );
        check(
            &identify_with(
                json!({"cio_subscription_preferences": {"topics": vec!["x".repeat(100); 10]}}),
            ),
            "accepted",
        );
        check(
            &identify_with(json!([])),
            "request body must be a JSON object",
        );
        check(&identify("1", b"{"), "request body must be a JSON object");
        check(
            &identify(" ", b"{}"),
            "id attribute cannot be an empty string",
        );
    }

    #[test]
    fn relationships_of_version_1_are_an_object_with_an_action() {
        let related = json!([{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]);
        let identify_with = |relationships: Value| {
            identify("1", &bytes(&json!({"cio_relationships": relationships})))
        };
        for action in ["add_relationships", "delete_relationships"] {
            let change = json!({"action": action, "relationships": related});
            check(&identify_with(change), "accepted");
        }
        check(
            &identify_with(related.clone()),
            "cio_relationships must be a hash",
        );
        check(
            &identify_with(json!({"action": "add", "relationships": related})),
            "action must be one of add_relationships, delete_relationships",
        );
        check(
            &identify_with(json!({"action": "add_relationships"})),
            "relationships must be present",
        );
        check(
            &identify("1", br#"{"_timestamp": "soon"}"#),
            "_timestamp must be an integer",
        );
    }

    #[test]
    fn an_event_is_rejected_in_the_words_of_the_api() {
        let event_with = |body: Value| event("1", &bytes(&body));
        check(
            &event_with(
                json!({"name": "paid", "id": "01", "timestamp": 1_700_000_000, "data": {"a": 1}}),
            ),
            "accepted",
        );
        check(
            &event_with(json!({"name": "paid", "data": null})),
            "accepted",
        );
        check(&event_with(json!({})), "event name must not be blank");
        check(
            &event_with(json!({"name": "  "})),
            "event name must not be blank",
        );
        check(&event_with(json!({"name": "x".repeat(100)})), "accepted");
        check(
            &event_with(json!({"name": "x".repeat(101)})),
            "event name cannot be longer than 100 bytes",
        );
        check(
            &event_with(json!({"name": "paid", "data": []})),
            "event data must be a hash",
        );
        check(
            &event_with(json!({"name": "paid", "data": {"a": "x".repeat(99_992)}})),
            "accepted",
        );
        check(
            &event_with(json!({"name": "paid", "data": {"a": "x".repeat(99_993)}})),
            "event data cannot be longer than 100000 bytes",
        );
        check(
            &event_with(json!({"name": "paid", "timestamp": "now"})),
            "timestamp must be an integer",
        );
        check(
            &event_with(json!({"name": "paid", "type": "click"})),
            "type must be one of event, page, screen",
        );
    }

    #[test]
    fn both_sides_of_a_merge_name_one_person() {
        let merge_of = |body: Value| merge(&bytes(&body));
        check(
            &merge_of(json!({"primary": {"id": "1"}, "secondary": {"email": "a@b.co"}})),
            "accepted",
        );
        check(
            &merge_of(json!({"primary": {"id": "1"}})),
            "secondary must be present",
        );
        check(
            &merge_of(json!({"primary": {"id": "1", "email": "a@b.co"}, "secondary": {"id": "2"}})),
            "primary must contain exactly one of id, email, cio_id",
        );
    }

    #[test]
    fn a_device_needs_a_token_and_a_platform() {
        let device = |body: Value| add_device("1", &bytes(&body));
        check(
            &device(json!({"device": {"id": "t", "platform": "ios"}})),
            "accepted",
        );
        check(
            &device(json!({"device": {"id": "t"}})),
            "platform must not be blank",
        );
        check(&device(json!({})), "id must not be blank");
    }
}
