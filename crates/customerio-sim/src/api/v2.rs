//! Track API v2: one operation or a batch per request, with the person in the body.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::identifier::Identifier;
use super::object::ObjectIdentifier;
use super::operation::{Identify, ObjectChange, Operation, Source};
use super::rejection::Rejection;
use super::relationship::{RelatedPerson, Relationship};
use super::{check, delivery, device, event, relationship};

/// The maximum length of an operation in bytes. The API documents 32 KB, and 32 KiB would be the
/// laxer reading: a client that keeps this limit keeps both.
pub(crate) const MAX_OPERATION_BYTES: usize = 32_000;
/// The maximum length of the body of a batch in bytes. The API documents 500 KB.
pub(crate) const MAX_BATCH_BYTES: usize = 500_000;

/// Reads each operation of a batch. A rejected operation does not affect the others.
pub(crate) fn batch(body: &[u8]) -> Result<Vec<Result<Operation, Rejection>>, Rejection> {
    let malformed = |_| {
        Rejection::invalid(
            "batch",
            "request body must be a JSON object with an array named batch",
        )
    };
    // Each operation stays raw, so that its length can be checked as it was sent, and one that is
    // malformed is rejected alone.
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(malformed)?;
    Ok(batch
        .batch
        .into_iter()
        .map(|operation| entity(operation.get().as_bytes()))
        .collect())
}

/// Reads one operation.
pub(crate) fn entity(body: &[u8]) -> Result<Operation, Rejection> {
    // Before parsing: the limit is on the bytes as sent, white space included.
    if body.len() > MAX_OPERATION_BYTES {
        let message = format!("operation cannot be longer than {MAX_OPERATION_BYTES} bytes");
        return Err(Rejection::too_large("body", message));
    }
    let entity = check::object(body)?;
    let (kind, action) = (
        check::required_string(&entity, "type")?,
        check::required_string(&entity, "action")?,
    );
    match kind.as_str() {
        "person" => person(&action, entity),
        "object" => object(&action, entity),
        "delivery" => delivery::entity(&action, &entity),
        _ => Err(Rejection::invalid(
            "type",
            "type must be one of person, object, delivery",
        )),
    }
}

pub(crate) fn batch_too_large() -> Rejection {
    Rejection::too_large(
        "batch",
        format!("batch cannot be longer than {MAX_BATCH_BYTES} bytes"),
    )
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

fn person(action: &str, entity: Map<String, Value>) -> Result<Operation, Rejection> {
    // A merge names two people, and has no `identifiers`.
    if action == "merge" {
        return merge(&entity);
    }
    let person = Identifier::in_object(
        "identifiers",
        entity.get("identifiers"),
        &["id", "email", "phone", "cio_id"],
    )?;
    match action {
        "identify" => identify(person, entity),
        "delete" => Ok(Operation::Delete(person)),
        "event" | "page" | "screen" => {
            let event = event::tracked(action, entity, "attributes")?;
            Ok(Operation::Event {
                source: Source::Person(person),
                event,
            })
        }
        "suppress" => Ok(Operation::Suppress(person)),
        "unsuppress" => Ok(Operation::Unsuppress(person)),
        "add_device" => add_device(person, entity),
        "delete_device" => {
            let mut entity = entity;
            let (token, _) = device::named(&mut entity, "token")?;
            Ok(Operation::DeleteDevice { person, token })
        }
        "add_relationships" => Ok(Operation::AddRelationships {
            person,
            objects: relationship::required(&entity, relationship::object)?,
        }),
        "delete_relationships" => Ok(Operation::DeleteRelationships {
            person,
            objects: relationship::required(&entity, relationship::object)?,
        }),
        _ => Err(Rejection::unknown_action(action)),
    }
}

fn identify(person: Identifier, mut entity: Map<String, Value>) -> Result<Operation, Rejection> {
    let mut attributes = check::optional_object(&mut entity, "attributes", "attributes")?;
    let reserved = check::take_reserved(&mut attributes)?;
    check::attributes(&attributes)?;
    let timestamp = check::optional_integer(&entity, "timestamp")?;
    Ok(Operation::Identify(Identify {
        person,
        attributes,
        update_only: reserved.update_only,
        timestamp: timestamp.or(reserved.timestamp),
        related: relationship::optional(&entity, relationship::object)?,
        unrelated: Vec::new(),
    }))
}

fn merge(entity: &Map<String, Value>) -> Result<Operation, Rejection> {
    let kinds = ["id", "email", "cio_id"];
    let side = |field| Identifier::in_lenient_object(field, entity.get(field), &kinds);
    Ok(Operation::Merge {
        primary: side("primary")?,
        secondary: side("secondary")?,
    })
}

fn add_device(person: Identifier, mut entity: Map<String, Value>) -> Result<Operation, Rejection> {
    let (token, device) = device::added(&mut entity, "token")?;
    Ok(Operation::AddDevice {
        person,
        token,
        device,
    })
}

fn object(action: &str, mut entity: Map<String, Value>) -> Result<Operation, Rejection> {
    let object = ObjectIdentifier::in_object(entity.get("identifiers"))?;
    let attributes = check::optional_object(&mut entity, "attributes", "attributes")?;
    check::count(&attributes)?;
    let change = match action {
        "identify" => ObjectChange::Identify {
            attributes,
            people: relationship::optional(&entity, relationship::person)?,
        },
        "identify_anonymous" => ObjectChange::Identify {
            attributes,
            people: anonymous_people(&entity)?,
        },
        "delete" => ObjectChange::Delete,
        "add_relationships" => ObjectChange::Identify {
            attributes: Map::new(),
            people: relationship::required(&entity, relationship::person)?,
        },
        "delete_relationships" => ObjectChange::DeleteRelationships(relationship::required(
            &entity,
            relationship::person,
        )?),
        _ => return Err(Rejection::unknown_action(action)),
    };
    Ok(Operation::Object { object, change })
}

/// Reads the people of `identify_anonymous`: a list of relationships, as the specification's schema
/// has it, or one `anonymous_id`, as its example has it.
fn anonymous_people(
    entity: &Map<String, Value>,
) -> Result<Vec<Relationship<RelatedPerson>>, Rejection> {
    let mut people = relationship::optional(entity, relationship::anonymous)?;
    people.extend(
        check::anonymous_id(entity.get("anonymous_id"))?.map(|id| Relationship {
            with: RelatedPerson::Anonymous(id),
            attributes: Map::new(),
        }),
    );
    Ok(people)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(entity: &Value, expected: &str) {
        let result = super::entity(&serde_json::to_vec(&entity).unwrap());
        let rejection = result.err().map_or_else(
            || "accepted".into(),
            |rejection| format!("{} {}", rejection.reason, rejection.field),
        );
        assert_eq!(rejection, expected, "{entity}");
    }

    #[track_caller]
    fn check_person(action: &str, rest: &Value, expected: &str) {
        let mut entity = json!({"type": "person", "action": action, "identifiers": {"id": "1"}});
        entity
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        check(&entity, expected);
    }

    #[test]
    fn every_documented_action_on_a_person_is_accepted() {
        check_person(
            "identify",
            &json!({"attributes": {"plan": "pro"}}),
            "accepted",
        );
        check_person("identify", &json!({}), "accepted");
        check_person("delete", &json!({}), "accepted");
        for action in ["event", "page", "screen"] {
            check_person(
                action,
                &json!({"name": "paid", "id": "01", "timestamp": 1, "attributes": {}}),
                "accepted",
            );
            check_person(action, &json!({}), "required name");
        }
        check_person("suppress", &json!({}), "accepted");
        check_person("unsuppress", &json!({}), "accepted");
        check_person(
            "add_device",
            &json!({"device": {"token": "t", "platform": "ios"}}),
            "accepted",
        );
        check_person(
            "add_device",
            &json!({"device": {"id": "t", "platform": "ios"}}),
            "required token",
        );
        check_person(
            "delete_device",
            &json!({"device": {"token": "t"}}),
            "accepted",
        );
        check_person(
            "add_relationships",
            &json!({"cio_relationships": []}),
            "accepted",
        );
        check_person(
            "delete_relationships",
            &json!({"cio_relationships": {}}),
            "invalid cio_relationships",
        );
        check_person("identfy", &json!({}), "invalid action");
        check(
            &json!({
                "type": "person",
                "action": "merge",
                "primary": {"id": "1"},
                "secondary": {"id": "2"},
            }),
            "accepted",
        );
        check(
            &json!({"type": "person", "action": "merge", "identifiers": {"id": "1"}}),
            "required primary",
        );
    }

    #[test]
    fn a_device_has_a_known_platform_and_attributes_of_strings() {
        check_person(
            "add_device",
            &json!({"device": {"token": "t", "platform": "windows"}}),
            "invalid platform",
        );
        check_person(
            "add_device",
            &json!({
                "device": {"token": "t", "platform": "ios", "attributes": {"push_enabled": true}},
            }),
            "invalid push_enabled",
        );
    }

    #[test]
    fn a_person_has_exactly_one_identifier() {
        let check_identifiers = |identifiers: Value, expected: &str| {
            check_person("identify", &json!({"identifiers": identifiers}), expected);
        };
        check_identifiers(json!({"phone": "+15551234567"}), "accepted");
        check_identifiers(json!({"phone": "15551234567"}), "invalid phone");
        for (kind, value) in [("id", "1"), ("email", "a@b.co"), ("cio_id", "1")] {
            check_identifiers(json!({kind: value}), "accepted");
            check_identifiers(json!({kind: 1}), &format!("invalid {kind}"));
            check_identifiers(json!({kind: ""}), &format!("required {kind}"));
            check_identifiers(json!({kind: "x".repeat(151)}), &format!("invalid {kind}"));
        }
        check_identifiers(json!({}), "required identifiers");
        check_identifiers(json!({"id": "1", "email": "a@b.co"}), "invalid identifiers");
        check_identifiers(json!({"name": "1"}), "invalid identifiers");
        check_identifiers(json!("1"), "invalid identifiers");
        check(
            &json!({"type": "person", "action": "identify"}),
            "required identifiers",
        );
    }

    #[test]
    fn objects_and_deliveries_are_checked() {
        let object = |action: &str| {
            let identifiers = json!({"object_type_id": "1", "object_id": "a"});
            json!({"type": "object", "action": action, "identifiers": identifiers})
        };
        check(&object("identify"), "accepted");
        check(&object("delete"), "accepted");
        check(&object("add_relationships"), "required cio_relationships");
        let related = |identifiers: Value| {
            let mut object = object("add_relationships");
            object["cio_relationships"] = json!([{"identifiers": identifiers}]);
            object
        };
        check(&related(json!({"id": "1"})), "accepted");
        check(
            &related(json!({"phone": "+15551234567"})),
            "invalid identifiers",
        );
        check(
            &related(json!({"anonymous_id": "a"})),
            "invalid identifiers",
        );
        let mut anonymous = related(json!({"anonymous_id": "a"}));
        anonymous["action"] = json!("identify_anonymous");
        check(&anonymous, "accepted");
        check(&object("event"), "invalid action");
        check(
            &json!({"type": "object", "action": "identify"}),
            "required identifiers",
        );
        let delivery = |name: &str| {
            let identifiers = json!({"id": "d"});
            json!({
                "type": "delivery", "action": "event", "identifiers": identifiers, "name": name,
                "attributes": {"device_token": "t"},
            })
        };
        check(&delivery("opened"), "accepted");
        check(&delivery("lost"), "invalid name");
    }

    #[test]
    fn a_body_that_is_no_operation_is_rejected() {
        check(&json!([]), "invalid body");
        check(&json!({"action": "identify"}), "required type");
        check(&json!({"type": "person"}), "required action");
        check(
            &json!({"type": "robot", "action": "identify"}),
            "invalid type",
        );
        check(&json!({"type": 1, "action": "identify"}), "invalid type");
    }

    #[test]
    fn an_operation_has_at_most_32_000_bytes() {
        let of_size = |size: usize| {
            let event = |fill: usize| {
                let attributes = json!({"fill": "x".repeat(fill)});
                json!({
                    "type": "person",
                    "action": "event",
                    "identifiers": {"id": "1"},
                    "name": "n",
                    "attributes": attributes,
                })
            };
            event(size - event(0).to_string().len())
        };
        check(&of_size(32_000), "accepted");
        check(&of_size(32_001), "too_large body");
    }

    #[test]
    fn a_rejected_operation_does_not_affect_its_batch() {
        let good = json!({"type": "person", "action": "delete", "identifiers": {"id": "1"}});
        let body = json!({"batch": [good, {"type": "person"}, 1, good]}).to_string();
        let accepted: Vec<_> = batch(body.as_bytes())
            .unwrap()
            .iter()
            .map(Result::is_ok)
            .collect();
        assert_eq!(accepted, [true, false, false, true]);
    }

    #[test]
    fn a_batch_is_an_object_with_an_array() {
        for body in ["", "[]", "{}", r#"{"batch": 1}"#, r#"{"batch": [{]}"#] {
            assert_eq!(batch(body.as_bytes()).unwrap_err().field, "batch");
        }
    }
}
