//! Live notifications, in the App API.

use serde_json::{Map, Value};

use super::check;
use super::identifier::Identifier;
use super::rejection::Rejection;

/// A valid live notification to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewNotification {
    pub(crate) notification_type: String,
    pub(crate) platform: Option<String>,
    /// In Unix seconds.
    pub(crate) expires_at: i64,
}

/// `POST /v1/live_notifications/start`. `now` is in Unix seconds.
pub(crate) fn start(body: &[u8], now: i64) -> Result<NewNotification, Rejection> {
    let body = check::object(body)?;
    identifiers(&body)?;
    required_object(&body, "attributes")?;
    required_object(&body, "content_state")?;
    for key in ["device_id", "app_identifier", "deep_link"] {
        check::optional_string(&body, key)?;
    }
    let platform = match body.get("platform") {
        None | Some(Value::Null) => None,
        Some(_) => Some(check::one_of(&body, "platform", &["ios", "android"])?),
    };
    alert(&body, platform.as_deref() == Some("ios"))?;
    Ok(NewNotification {
        notification_type: check::required_string(&body, "notification_type")?,
        platform,
        expires_at: expiration(&body, now)?,
    })
}

/// `POST /v1/live_notifications/update`. Returns the id of the instance.
pub(crate) fn update(body: &[u8]) -> Result<String, Rejection> {
    let body = check::object(body)?;
    required_object(&body, "content_state")?;
    check::required_string(&body, "instance_id")
}

/// `POST /v1/live_notifications/end`. Returns the id of the instance.
pub(crate) fn end(body: &[u8]) -> Result<String, Rejection> {
    let body = check::object(body)?;
    if body
        .get("content_state")
        .is_some_and(|state| !state.is_null())
    {
        required_object(&body, "content_state")?;
    }
    check::required_string(&body, "instance_id")
}

/// Checks that exactly one identifier names the person. `internal` is a `cio_id` with its prefix.
fn identifiers(body: &Map<String, Value>) -> Result<(), Rejection> {
    let kinds = ["id", "email", "phone", "internal"];
    let person = Identifier::in_object("identifiers", body.get("identifiers"), &kinds)?;
    let internal = body["identifiers"]["internal"].as_str();
    match internal.is_some_and(|_| !person.text().starts_with("cio_")) {
        true => Err(Rejection::invalid(
            "internal",
            "internal must be a cio_id with the prefix cio_",
        )),
        false => Ok(()),
    }
}

/// Checks that the value at `key` is an object with at least one member.
fn required_object(body: &Map<String, Value>, key: &str) -> Result<(), Rejection> {
    let object = body.get(key).and_then(Value::as_object);
    match object.is_some_and(|object| !object.is_empty()) {
        true => Ok(()),
        false => Err(Rejection::required(
            key,
            format!("{key} must be an object that is not empty"),
        )),
    }
}

/// Checks the alert, which a device with iOS needs.
fn alert(body: &Map<String, Value>, is_required: bool) -> Result<(), Rejection> {
    let alert = body.get("push_payload").map(|payload| &payload["alert"]);
    match alert {
        None | Some(Value::Null) if !is_required => Ok(()),
        Some(Value::Object(alert)) => {
            check::required_string(alert, "title")?;
            check::required_string(alert, "body").map(drop)
        }
        _ => Err(Rejection::required(
            "push_payload",
            "push_payload must have an alert with title and body",
        )),
    }
}

fn expiration(body: &Map<String, Value>, now: i64) -> Result<i64, Rejection> {
    let latest = now.saturating_add(LONGEST_SECONDS);
    match check::optional_integer(body, "expiration")? {
        None | Some(0) => Ok(latest),
        Some(time) if (now..=latest).contains(&time) => Ok(time),
        Some(_) => Err(Rejection::invalid(
            "expiration",
            "expiration must be within the next 6 hours",
        )),
    }
}

/// The documented longest time of a live notification: 6 hours.
const LONGEST_SECONDS: i64 = 6 * 60 * 60;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_live_notification_has_a_person_a_type_and_a_state() {
        const NOW: i64 = 1_767_225_600;
        let check = |change: Value, expected: Option<&str>| {
            let mut body = json!({
                "identifiers": {"id": "u1"},
                "notification_type": "io.customer.livenotifications.segments",
                "attributes": {"header": "h"},
                "content_state": {"status": "s"},
            });
            let changed = change.as_object().unwrap().clone();
            body.as_object_mut().unwrap().extend(changed);
            let field = start(body.to_string().as_bytes(), NOW).err();
            let field = field.map(|rejection| rejection.field);
            assert_eq!(field.as_deref(), expected, "{change}");
        };
        check(json!({}), None);
        check(json!({"identifiers": {"internal": "cio_03"}}), None);
        check(json!({"identifiers": {"internal": "03"}}), Some("internal"));
        check(
            json!({"identifiers": {"id": "u1", "email": "a@b.co"}}),
            Some("identifiers"),
        );
        check(json!({"attributes": {}}), Some("attributes"));
        check(json!({"content_state": null}), Some("content_state"));
        check(json!({"notification_type": ""}), Some("notification_type"));
        check(json!({"platform": "web"}), Some("platform"));
        check(json!({"platform": "ios"}), Some("push_payload"));
        let alert = json!({"alert": {"title": "t", "body": "b"}});
        check(json!({"platform": "ios", "push_payload": alert}), None);
        check(json!({"expiration": NOW + 21_600}), None);
        check(json!({"expiration": NOW + 21_601}), Some("expiration"));
        check(json!({"expiration": NOW - 1}), Some("expiration"));
        assert!(update(br#"{"instance_id":"a"}"#).is_err());
        assert!(end(br#"{"instance_id":"a"}"#).is_ok());
        assert!(end(br#"{"instance_id":"a","content_state":{}}"#).is_err());
    }
}
