//! The replies of the App API that have a type. Members that are not known are ignored.

use std::fmt;

use bytes::Bytes;
use http::Response;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{InvalidInput, Person, Timestamp};

/// The reply to a message: the API took it, and delivers it later.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// The id of the delivery, which webhooks and `/v1/messages/{id}` use. Its format varies.
    pub delivery_id: String,
    /// When the API took the message.
    #[serde(default, deserialize_with = "timestamp")]
    pub queued_at: Option<Timestamp>,
    /// When the message is sent, if a later time was asked for.
    #[serde(default, deserialize_with = "timestamp")]
    pub send_at: Option<Timestamp>,
}

/// The reply to a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Triggered {
    /// The number of the trigger, by which its status and its errors are found.
    pub id: u64,
}

/// The status of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TriggerStatus {
    /// The number of the trigger.
    pub id: u64,
    /// The number of the broadcast, if the reply has it.
    #[serde(default)]
    pub broadcast_id: Option<u64>,
    /// When the API took the trigger.
    #[serde(default, deserialize_with = "timestamp")]
    pub created_at: Option<Timestamp>,
    /// When all its messages were made, or `None` until then.
    #[serde(default, deserialize_with = "timestamp")]
    pub processed_at: Option<Timestamp>,
}

/// One page of the errors of a trigger.
///
/// `Debug` shows their number only: they may name people.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[non_exhaustive]
pub struct TriggerErrors {
    /// The errors. Their format is not documented.
    #[serde(default, deserialize_with = "list")]
    pub errors: Vec<Value>,
    /// Where the next page starts, or `None` on the last one.
    #[serde(default, deserialize_with = "text")]
    pub next: Option<String>,
}

impl fmt::Debug for TriggerErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerErrors")
            .field("errors", &self.errors.len())
            .finish_non_exhaustive()
    }
}

/// A person whom a search found, with all identifiers that they have.
///
/// `Debug` leaves them out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct FoundPerson {
    /// The person's email address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// Your own id of the person.
    #[serde(default, deserialize_with = "text")]
    pub id: Option<String>,
    /// The id that Customer.io assigned, with or without the prefix `cio_`.
    pub cio_id: String,
}

impl FoundPerson {
    /// Returns the person for other requests, identified by their `cio_id`, which never changes.
    ///
    /// # Errors
    ///
    /// The `cio_id` is blank or longer than 150 bytes, which the API does not assign.
    pub fn person(&self) -> Result<Person, InvalidInput> {
        Person::cio_id(&self.cio_id)
    }
}

/// All identifiers of a person in an activity or a message.
///
/// `Debug` leaves them out.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct Identifiers {
    /// The person's email address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// Your own id of the person.
    #[serde(default, deserialize_with = "text")]
    pub id: Option<String>,
    /// The id that Customer.io assigned, with or without the prefix `cio_`.
    #[serde(default, deserialize_with = "text")]
    pub cio_id: Option<String>,
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifiers([redacted])")
    }
}

impl fmt::Debug for FoundPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FoundPerson([redacted])")
    }
}

impl Sent {
    /// Reads the response to a message. Returns `None` if it is not in that format.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
        read(response).filter(|sent: &Self| !sent.delivery_id.is_empty())
    }
}

impl Triggered {
    /// Reads the response to a trigger. Returns `None` if it is not in that format.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
        read(response)
    }
}

impl TriggerStatus {
    /// Reads the response to a question for the status of a trigger. Returns `None` if it is not
    /// in that format.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
        read(response)
    }
}

impl TriggerErrors {
    /// Reads the response to a question for the errors of a trigger. Returns `None` if it is not
    /// in that format.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
        read(response)
    }
}

/// Reads one member of a reply. Returns `None` if the reply lacks it.
#[cfg(feature = "client")]
pub(crate) fn member<T: DeserializeOwned>(response: &Response<Bytes>, name: &str) -> Option<T> {
    let mut reply: Map<String, Value> = read(response)?;
    serde_json::from_value(reply.remove(name)?).ok()
}

fn read<T: DeserializeOwned>(response: &Response<Bytes>) -> Option<T> {
    // The body of an error is no reply, whatever members it has.
    if !response.status().is_success() {
        return None;
    }
    serde_json::from_slice(response.body()).ok()
}

/// Reads a time. A value that is none counts as absent; the reply is still of use.
pub(super) fn timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let seconds = value.as_i64().filter(|seconds| *seconds > 0);
    Ok(seconds.and_then(|seconds| Timestamp::new(seconds).ok()))
}

/// Reads a list, which is `null` in place of empty.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads the members of an object, which is `null` in place of empty.
pub(super) fn members<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Map<String, Value>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a number, which may be in a text. Anything else counts as absent.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().and_then(|text| text.parse().ok());
    Ok(value.as_u64().or(text))
}

/// Reads a boolean, which may be in a text. Anything else is false.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value == true || value == "true")
}

/// Reads a text that may be `""` or `null` in place of absent, as where the next page starts. A
/// number becomes its text: some ids are documented as texts and sent as numbers.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => return Err(de::Error::custom("expected a text")),
    })
}

/// Reads a member that is of use without its other parts. One in another format counts as absent.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    // A list would be read as the members in their order.
    let value = Some(value).filter(Value::is_object);
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &'static str) -> Response<Bytes> {
        Response::new(Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn replies_may_lack_what_is_optional_and_have_more() {
        let sent = Sent::from_response(&response(r#"{"delivery_id":"a","queued_at":1,"x":{}}"#));
        let sent = sent.unwrap();
        assert_eq!((sent.delivery_id.as_str(), sent.send_at), ("a", None));
        assert_eq!(sent.queued_at.unwrap().seconds(), 1);
        let check = |body, expected| {
            let found = Sent::from_response(&response(body)).is_some();
            assert_eq!(found, expected, "{body}");
        };
        check(
            r#"{"delivery_id":"a","queued_at":null,"send_at":"soon"}"#,
            true,
        );
        check(r#"{"delivery_id":""}"#, false);
        check("{}", false);
        check("[]", false);
    }

    #[test]
    fn the_last_page_of_errors_has_no_next() {
        let check = |body, errors, next: Option<&str>| {
            let page = TriggerErrors::from_response(&response(body)).unwrap();
            assert_eq!(
                (page.errors.len(), page.next.as_deref()),
                (errors, next),
                "{body}"
            );
        };
        check(r#"{"errors":[{}],"next":"MDox"}"#, 1, Some("MDox"));
        check(r#"{"errors":null,"next":""}"#, 0, None);
        check(r#"{"errors":[],"next":null}"#, 0, None);
        check("{}", 0, None);
    }
}
