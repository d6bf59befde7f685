//! Operations on deliveries, forms and segments. All but [`entity`] exist in v1 only.

use serde_json::{Map, Value};

use super::check;
use super::identifier::Identifier;
use super::operation::{DeliveryReport, Membership, Operation, Subscription};
use super::rejection::Rejection;

/// `POST /api/v1/metrics`. Accepts the metrics of all channels, since the request does not name the
/// channel.
pub(crate) fn metric(body: &[u8]) -> Result<Operation, Rejection> {
    let body = check::object(body)?;
    check::optional_integer(&body, "timestamp")?;
    for key in ["reason", "href"] {
        check::optional_string(&body, key)?;
    }
    report(&body, "metric", &METRICS)
}

/// `POST /api/v1/push/events`.
pub(crate) fn push_event(body: &[u8]) -> Result<Operation, Rejection> {
    let body = check::object(body)?;
    check::optional_integer(&body, "timestamp")?;
    check::required_string(&body, "device_id")?;
    report(&body, "event", &PUSH_EVENTS)
}

fn report(body: &Map<String, Value>, key: &str, known: &[&str]) -> Result<Operation, Rejection> {
    let id = check::required_string(body, "delivery_id")?;
    let metric = check::one_of(body, key, known)?;
    Ok(Operation::Delivery {
        id,
        report: DeliveryReport::Metric {
            name: metric,
            href: check::optional_string(body, "href")?,
            reason: check::optional_string(body, "reason")?,
        },
    })
}

/// The only operation of v2 on a delivery.
pub(super) fn entity(action: &str, entity: &Map<String, Value>) -> Result<Operation, Rejection> {
    if action != "event" {
        return Err(Rejection::unknown_action(action));
    }
    let identifiers = entity
        .get("identifiers")
        .ok_or_else(|| Rejection::required("identifiers", "identifiers must be present"))?;
    let identifiers = identifiers
        .as_object()
        .ok_or_else(|| Rejection::invalid("identifiers", "identifiers must be a hash"))?;
    let id = check::required_string(identifiers, "id")?;
    let metric = check::one_of(entity, "name", &PUSH_EVENTS)?;
    let attributes = entity.get("attributes").and_then(Value::as_object);
    let attributes =
        attributes.ok_or_else(|| Rejection::required("attributes", "attributes must be a hash"))?;
    check::required_string(attributes, "device_token")?;
    Ok(Operation::Delivery {
        id,
        report: DeliveryReport::Metric {
            name: metric,
            href: None,
            reason: None,
        },
    })
}

/// `POST /unsubscribe/{delivery_id}`.
pub(crate) fn unsubscribe(delivery: &str, body: &[u8]) -> Result<Operation, Rejection> {
    let subscription = match check::object(body)?.get("unsubscribe") {
        Some(Value::Bool(true)) => Subscription::Unsubscribed,
        Some(Value::Bool(false)) => Subscription::Subscribed,
        _ => {
            return Err(Rejection::invalid(
                "unsubscribe",
                "unsubscribe must be a boolean",
            ));
        }
    };
    Ok(Operation::Delivery {
        id: delivery.to_owned(),
        report: DeliveryReport::Subscription(subscription),
    })
}

/// `POST /api/v1/forms/{form_id}/submit`. The data has one of `email` and `id`, and strings.
pub(crate) fn form(form: &str, body: &[u8]) -> Result<Operation, Rejection> {
    let mut data = check::optional_object(&mut check::object(body)?, "data", "data")?;
    for key in RESERVED_FIELDS {
        data.remove(key);
    }
    // The identifier is no field of the form. The specification allows null for the other one, and
    // its example has an integer.
    let mut keys = Map::new();
    for key in ["email", "id"] {
        let value = data.remove(key).filter(|value| !value.is_null());
        keys.extend(value.map(|value| (key.to_owned(), value)));
    }
    let person = Identifier::in_lenient_object("data", Some(&keys.into()), &["email", "id"])?;
    if let Some((name, _)) = data.iter().find(|(_, value)| !value.is_string()) {
        return Err(Rejection::invalid(name, format!("{name} must be a string")));
    }
    Ok(Operation::Form {
        id: form.to_owned(),
        person,
        data,
    })
}

/// `POST /api/v1/segments/{id}/add_customers` and `remove_customers`.
pub(crate) fn segment(
    id: u64,
    membership: Membership,
    kind: Option<&str>,
    body: &[u8],
) -> Result<Operation, Rejection> {
    let kind = kind.unwrap_or("id");
    if !["id", "email", "cio_id"].contains(&kind) {
        return Err(Rejection::invalid(
            "id_type",
            "id_type must be one of id, email, cio_id",
        ));
    }
    let body = check::object(body)?;
    let ids = body.get("ids").and_then(Value::as_array);
    let ids = ids.ok_or_else(|| Rejection::required("ids", "ids must be an array"))?;
    if ids.is_empty() || ids.len() > MAX_IDS {
        let message = format!("ids must contain between 1 and {MAX_IDS} items");
        return Err(Rejection::invalid("ids", message));
    }
    let person = |id: &Value| {
        let keys = Map::from_iter([(kind.to_owned(), id.clone())]);
        Identifier::in_object("ids", Some(&keys.into()), &[kind])
    };
    let people = ids.iter().map(person).collect::<Result<_, _>>()?;
    Ok(Operation::Segment {
        id,
        people,
        membership,
    })
}

/// The metrics that the specification lists, of all channels.
const METRICS: [&str; 8] = [
    "bounced",
    "clicked",
    "converted",
    "deferred",
    "delivered",
    "dropped",
    "opened",
    "spammed",
];
/// The keys of a form's data that the API reserves and ignores.
const RESERVED_FIELDS: [&str; 5] = [
    "form_id",
    "form_name",
    "form_type",
    "form_url",
    "form_url_param",
];
const PUSH_EVENTS: [&str; 3] = ["converted", "delivered", "opened"];
/// The limit that the API documents.
const MAX_IDS: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(result: Result<Operation, Rejection>, expected: Option<&str>) {
        let field = result.err().map(|rejection| rejection.field);
        assert_eq!(field.as_deref(), expected);
    }

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    #[test]
    fn a_metric_names_a_delivery_and_a_known_metric() {
        let metric_with = |body: Value| metric(&bytes(&body));
        check(
            metric_with(json!({"delivery_id": "d", "metric": "clicked"})),
            None,
        );
        check(
            metric_with(json!({"metric": "clicked"})),
            Some("delivery_id"),
        );
        check(
            metric_with(json!({"delivery_id": "d", "metric": "seen"})),
            Some("metric"),
        );
        check(
            metric_with(json!({"delivery_id": "d", "metric": "opened", "timestamp": "x"})),
            Some("timestamp"),
        );
        let push = |body: Value| push_event(&bytes(&body));
        check(
            push(json!({"delivery_id": "d", "event": "opened", "device_id": "t"})),
            None,
        );
        check(
            push(json!({"delivery_id": "d", "event": "opened"})),
            Some("device_id"),
        );
        check(
            push(json!({"delivery_id": "d", "event": "clicked", "device_id": "t"})),
            Some("event"),
        );
    }

    #[test]
    fn a_form_has_strings_and_exactly_one_identifier() {
        let form_with = |data: Value| form("f", &bytes(&json!({"data": data})));
        check(form_with(json!({"email": "a@b.co", "name": "A"})), None);
        check(form_with(json!({"id": "1"})), None);
        check(
            form_with(json!({"id": "1", "email": "a@b.co"})),
            Some("data"),
        );
        check(form_with(json!({"name": "A"})), Some("data"));
        check(form_with(json!({"id": "1", "age": 5})), Some("age"));
    }

    #[test]
    fn a_segment_accepts_one_to_a_thousand_strings() {
        let change = |kind, body: Value| segment(7, Membership::Added, kind, &bytes(&body));
        check(change(None, json!({"ids": ["1"]})), None);
        check(change(Some("email"), json!({"ids": ["a@b.co"]})), None);
        check(
            change(Some("phone"), json!({"ids": ["1"]})),
            Some("id_type"),
        );
        check(change(None, json!({"ids": []})), Some("ids"));
        check(change(None, json!({"ids": vec!["1"; 1_001]})), Some("ids"));
        check(change(None, json!({"ids": [1]})), Some("id"));
        check(change(None, json!({})), Some("ids"));
    }

    #[test]
    fn a_subscription_is_a_boolean() {
        check(unsubscribe("d", br#"{"unsubscribe": true}"#), None);
        check(
            unsubscribe("d", br#"{"unsubscribe": "true"}"#),
            Some("unsubscribe"),
        );
        check(unsubscribe("d", b"{}"), Some("unsubscribe"));
    }
}
