//! Transactional messages of the App API: one message per request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::check;
use super::device;
use super::identifier::{Identifier, is_phone};
use super::rejection::Rejection;

/// A valid transactional message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutgoingMessage {
    pub(crate) channel: Channel,
    /// Only an email may name no person.
    pub(crate) person: Option<Identifier>,
    /// When to send it, in Unix seconds, if this is in the future.
    pub(crate) send_at: Option<i64>,
    /// The device that a push adds to its person, with its token.
    pub(crate) device: Option<(String, Value)>,
    /// The members of the request, without the contents of attachments.
    pub(crate) request: Map<String, Value>,
    /// The length of each attachment in bytes.
    pub(crate) attachments: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Email,
    InApp,
    Inbox,
    Push,
    Sms,
    WhatsApp,
}

impl Channel {
    /// Returns the name that ends the path of its endpoint.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::InApp => "in_app",
            Self::Inbox => "inbox_message",
            Self::Push => "push",
            Self::Sms => "sms",
            Self::WhatsApp => "whatsapp",
        }
    }

    /// Returns the name in the types of activities. Messages in an inbox have none.
    pub(crate) fn in_activities(self) -> Option<&'static str> {
        match self {
            Self::Inbox => None,
            Self::Sms => Some("twilio"),
            _ => Some(self.name()),
        }
    }
}

/// `POST /v1/send/{channel}`. `now` is in Unix seconds.
pub(crate) fn message(
    channel: Channel,
    body: &[u8],
    now: i64,
) -> Result<OutgoingMessage, Rejection> {
    let mut request = check::object(body)?;
    let attachments = match channel {
        Channel::Email => attachments(request.remove("attachments"))?,
        _ => BTreeMap::new(),
    };
    if check::size(&request) > MAX_PAYLOAD_BYTES {
        let message = format!("payload cannot be longer than {MAX_PAYLOAD_BYTES} bytes");
        return Err(Rejection::too_large("body", message));
    }
    common(&request)?;
    template(channel, &request)?;
    match channel {
        Channel::Email => email(&request)?,
        Channel::Push => push(&request)?,
        Channel::Sms | Channel::WhatsApp => phone(&request)?,
        Channel::InApp | Channel::Inbox => {}
    }
    Ok(OutgoingMessage {
        channel,
        person: person(channel, &request)?,
        send_at: send_at(&request, now)?,
        device: custom_device(channel, &mut request)?,
        request,
        attachments,
    })
}

/// Checks the types of the members that more than one channel has.
fn common(request: &Map<String, Value>) -> Result<(), Rejection> {
    for key in BOOLEANS {
        check::optional_boolean(request, key)?;
    }
    for key in STRINGS {
        check::optional_string(request, key)?;
    }
    for key in OBJECTS {
        if request
            .get(key)
            .is_some_and(|value| !value.is_object() && !value.is_null())
        {
            return Err(Rejection::invalid(key, format!("{key} must be an object")));
        }
    }
    Ok(())
}

/// Checks the template: a number or a name. An email without one needs its own content.
fn template(channel: Channel, request: &Map<String, Value>) -> Result<(), Rejection> {
    let field = "transactional_message_id";
    match request.get(field) {
        Some(Value::Number(id)) if id.is_u64() => Ok(()),
        Some(Value::String(name)) if !name.trim().is_empty() => Ok(()),
        None | Some(Value::Null) if channel == Channel::Email => {
            for key in ["from", "subject", "body"] {
                check::required_string(request, key)?;
            }
            Ok(())
        }
        None | Some(Value::Null) => Err(Rejection::required(field, format!("{field} is required"))),
        Some(_) => Err(Rejection::invalid(
            field,
            format!("{field} must be an integer or a name"),
        )),
    }
}

fn person(channel: Channel, request: &Map<String, Value>) -> Result<Option<Identifier>, Rejection> {
    let identifiers = request.get("identifiers");
    if identifiers.is_none() && channel == Channel::Email {
        return Ok(None);
    }
    let kinds = ["id", "email", "cio_id"];
    Identifier::in_lenient_object("identifiers", identifiers, &kinds).map(Some)
}

/// Returns the time of a scheduled message. A time in the past means now.
fn send_at(request: &Map<String, Value>, now: i64) -> Result<Option<i64>, Rejection> {
    let Some(time) = check::optional_integer(request, "send_at")? else {
        return Ok(None);
    };
    if time.saturating_sub(now) > MAX_AHEAD_SECONDS {
        return Err(Rejection::invalid(
            "send_at",
            "send_at cannot be more than 90 days ahead",
        ));
    }
    Ok((time > now).then_some(time))
}

fn email(request: &Map<String, Value>) -> Result<(), Rejection> {
    let to = check::required_string(request, "to")?;
    let mut recipients = addresses(&to);
    for key in ["cc", "bcc"] {
        let list = check::optional_string(request, key)?.unwrap_or_default();
        recipients += addresses(&list);
    }
    if recipients > MAX_RECIPIENTS {
        let message = format!("an email cannot have more than {MAX_RECIPIENTS} recipients");
        return Err(Rejection::invalid("to", message));
    }
    headers(request.get("headers"))
}

/// Returns the number of addresses in a list. A comma in a quoted display name separates nothing.
fn addresses(list: &str) -> usize {
    let mut quoted = false;
    let parts = list.split(|character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    });
    parts.filter(|part| !part.trim().is_empty()).count()
}

/// Accepts the object of the specification's example, and the string of its schema.
fn headers(headers: Option<&Value>) -> Result<(), Rejection> {
    let invalid = |message: &str| Err(Rejection::invalid("headers", message));
    let headers = match headers {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(headers)) => headers,
        Some(Value::String(list)) => {
            return match serde_json::from_str::<Vec<Map<String, Value>>>(list) {
                Ok(_) => Ok(()),
                Err(_) => invalid("headers must be a JSON array of names and values"),
            };
        }
        Some(_) => return invalid("headers must be an object"),
    };
    let is_plain = |text: &str| text.is_ascii() && !text.contains(' ');
    let is_valid =
        |(name, value): (&String, &Value)| is_plain(name) && value.as_str().is_some_and(is_plain);
    match headers.iter().all(is_valid) {
        true => Ok(()),
        false => invalid("headers must be ASCII strings without spaces"),
    }
}

/// Returns the length of each attachment in bytes.
fn attachments(attachments: Option<Value>) -> Result<BTreeMap<String, usize>, Rejection> {
    let invalid = |message: &str| Rejection::invalid("attachments", message);
    let attachments = match attachments {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(attachments)) => attachments,
        Some(_) => return Err(invalid("attachments must be an object")),
    };
    let mut lengths = BTreeMap::new();
    for (name, content) in attachments {
        let content = content
            .as_str()
            .map(|content| BASE64_STANDARD.decode(content));
        let Some(Ok(content)) = content else {
            return Err(invalid("attachments must be encoded in base64"));
        };
        lengths.insert(name, content.len());
    }
    if lengths.values().sum::<usize>() > MAX_ATTACHMENTS_BYTES {
        let message = format!("attachments cannot be longer than {MAX_ATTACHMENTS_BYTES} bytes");
        return Err(Rejection::too_large("attachments", message));
    }
    Ok(lengths)
}

fn push(request: &Map<String, Value>) -> Result<(), Rejection> {
    if request.get("sound").is_some_and(|sound| !sound.is_null()) {
        check::one_of(request, "sound", &["default", "none"])?;
    }
    Ok(())
}

fn phone(request: &Map<String, Value>) -> Result<(), Rejection> {
    let to = check::required_string(request, "to")?;
    match is_phone(&to) || to.contains("{{") {
        true => Ok(()),
        false => Err(Rejection::invalid("to", "to must be in E.164 format")),
    }
}

/// Removes and returns the device that a push adds to its person.
fn custom_device(
    channel: Channel,
    request: &mut Map<String, Value>,
) -> Result<Option<(String, Value)>, Rejection> {
    if channel != Channel::Push {
        return Ok(None);
    }
    match request.remove("custom_device") {
        None | Some(Value::Null) => Ok(None),
        Some(device) => {
            let mut entity = Map::from_iter([("device".to_owned(), device)]);
            device::added(&mut entity, "token").map(Some)
        }
    }
}

const BOOLEANS: [&str; 7] = [
    "auto_create",
    "disable_css_preprocessing",
    "disable_message_retention",
    "fake_bcc",
    "queue_draft",
    "send_to_unsubscribed",
    "tracked",
];
const STRINGS: [&str; 14] = [
    "bcc",
    "body",
    "body_amp",
    "body_plain",
    "cc",
    "from",
    "image_url",
    "language",
    "link",
    "preheader",
    "reply_to",
    "subject",
    "title",
    "to",
];
const OBJECTS: [&str; 3] = ["custom_data", "custom_payload", "message_data"];
// The limits that the API documents. It says MB, of which the stricter reading is 1,000,000 bytes.
const MAX_PAYLOAD_BYTES: usize = 1_000_000;
const MAX_ATTACHMENTS_BYTES: usize = 2_000_000;
const MAX_RECIPIENTS: usize = 15;
const MAX_AHEAD_SECONDS: i64 = 90 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_225_600;

    /// Checks a message with the required members of its channel and those in `rest`. `null`
    /// removes one.
    #[track_caller]
    fn check(channel: Channel, rest: &Value, expected: Option<&str>) {
        let mut body = json!({"transactional_message_id": 3, "identifiers": {"id": "1"}});
        match channel {
            Channel::Email => body["to"] = json!("a@b.co"),
            Channel::Sms | Channel::WhatsApp => body["to"] = json!("+15551234567"),
            _ => {}
        }
        let members = body.as_object_mut().unwrap();
        members.extend(rest.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let field = message(channel, body.to_string().as_bytes(), NOW).err();
        let field = field.map(|rejection| rejection.field);
        assert_eq!(field.as_deref(), expected, "{channel:?} {rest}");
    }

    #[test]
    fn each_channel_has_its_required_members() {
        let channels = [
            Channel::Email,
            Channel::InApp,
            Channel::Inbox,
            Channel::Push,
            Channel::Sms,
            Channel::WhatsApp,
        ];
        for channel in channels {
            check(channel, &json!({}), None);
            let wrong = json!({"identifiers": {"id": "1", "email": "a@b.co"}});
            check(channel, &wrong, Some("identifiers"));
            check(channel, &json!({"queue_draft": "no"}), Some("queue_draft"));
            let named = json!({"transactional_message_id": "welcome"});
            check(channel, &named, None);
            let wrong = json!({"transactional_message_id": 1.5});
            check(channel, &wrong, Some("transactional_message_id"));
            let is_email = channel == Channel::Email;
            let expected = (!is_email).then_some("identifiers");
            check(channel, &json!({"identifiers": null}), expected);
            let expected = if is_email {
                "from"
            } else {
                "transactional_message_id"
            };
            check(
                channel,
                &json!({"transactional_message_id": null}),
                Some(expected),
            );
        }
        for channel in [Channel::Email, Channel::Sms, Channel::WhatsApp] {
            check(channel, &json!({"to": null}), Some("to"));
        }
        check(Channel::Sms, &json!({"to": "5551234"}), Some("to"));
        check(Channel::Sms, &json!({"to": "{{customer.phone}}"}), None);
        check(Channel::Push, &json!({"sound": "loud"}), Some("sound"));
        let device = json!({"custom_device": {"token": "t"}});
        check(Channel::Push, &device, Some("platform"));
    }

    #[test]
    fn an_email_has_at_most_15_recipients_and_plain_headers() {
        let list = |count: usize| vec!["a@b.co"; count].join(", ");
        let to = |to: usize, cc: usize| json!({"to": list(to), "cc": list(cc)});
        check(Channel::Email, &to(10, 5), None);
        check(Channel::Email, &to(10, 6), Some("to"));
        let quoted = json!({"to": "\"B, A\" <a@b.co>", "bcc": list(14)});
        check(Channel::Email, &quoted, None);
        let headers = |headers: Value| json!({"headers": headers});
        check(Channel::Email, &headers(json!({"X-A": "b"})), None);
        check(Channel::Email, &headers(json!({})), None);
        let listed = json!(r#"[{"name": "X-A", "value": "b"}]"#);
        check(Channel::Email, &headers(listed), None);
        for wrong in [
            json!({"X A": "b"}),
            json!({"X-A": "é"}),
            json!({"X-A": 1}),
            json!("b"),
        ] {
            check(Channel::Email, &headers(wrong), Some("headers"));
        }
    }

    #[test]
    fn payload_attachments_and_schedule_have_limits() {
        let attached = |length: usize| {
            let content = BASE64_STANDARD.encode(vec![0; length]);
            json!({"attachments": {"a.bin": content}})
        };
        check(Channel::Email, &attached(2_000_000), None);
        check(Channel::Email, &attached(2_000_001), Some("attachments"));
        let wrong = json!({"attachments": {"a.bin": "?"}});
        check(Channel::Email, &wrong, Some("attachments"));
        let long = json!({"body": "x".repeat(1_000_000)});
        check(Channel::Email, &long, Some("body"));
        let at = |days: i64| json!({"send_at": NOW + days * 24 * 60 * 60});
        check(Channel::Push, &at(90), None);
        check(Channel::Push, &at(-1), None);
        check(Channel::Push, &at(91), Some("send_at"));
    }
}
