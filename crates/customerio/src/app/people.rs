//! Replies about a person. Unknown members are ignored, and a member in another format counts as
//! absent.

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::AppRequest;
use super::reply::{Identifiers, flag, lenient, list, members, number, text, timestamp};
use crate::error::check_some;
use crate::{InvalidInput, Person, Timestamp};

/// A person with their attributes and devices.
///
/// `Debug` leaves out the person.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Customer {
    /// Your own id of the person, if they have one.
    #[serde(default, deserialize_with = "text")]
    pub id: Option<String>,
    /// All identifiers of the person.
    #[serde(default, deserialize_with = "lenient")]
    pub identifiers: Option<Identifiers>,
    /// The attributes. The API returns all values as texts, numbers and times too; preferences and
    /// other objects are JSON in a text.
    #[serde(default, deserialize_with = "members")]
    pub attributes: Map<String, Value>,
    /// Whether the person unsubscribed from all messages.
    #[serde(default, deserialize_with = "flag")]
    pub unsubscribed: bool,
    /// The devices that can receive push notifications.
    #[serde(default, deserialize_with = "list")]
    pub devices: Vec<CustomerDevice>,
}

impl Customer {
    /// Returns the value of an attribute, as the text that the API returns.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_str()
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer")
            .field("attributes", &self.attributes.len())
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}

/// A device of a person.
///
/// `Debug` shows the platform and leaves out the token.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct CustomerDevice {
    /// The token of the device.
    pub id: String,
    /// The platform, such as `ios` or `android`.
    #[serde(default, deserialize_with = "text")]
    pub platform: Option<String>,
    /// When the device was last used.
    #[serde(default, deserialize_with = "timestamp")]
    pub last_used: Option<Timestamp>,
    /// The attributes of the device. `_last_status` is empty, `bounced`, `sent` or `suppressed`.
    #[serde(default, deserialize_with = "members")]
    pub attributes: Map<String, Value>,
}

impl fmt::Debug for CustomerDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerDevice")
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

/// A relationship of a person with an object.
///
/// `Debug` shows the type of the object.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ObjectRelationship {
    /// The number of the object's type.
    #[serde(default, deserialize_with = "text")]
    pub object_type_id: Option<String>,
    /// The identifiers of the object.
    #[serde(default, deserialize_with = "lenient")]
    pub identifiers: Option<ObjectIdentifiers>,
    /// The attributes of the relationship.
    #[serde(default, deserialize_with = "members")]
    pub attributes: Map<String, Value>,
}

impl fmt::Debug for ObjectRelationship {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectRelationship")
            .field("object_type_id", &self.object_type_id)
            .finish_non_exhaustive()
    }
}

/// The identifiers of an object.
///
/// `Debug` leaves them out.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct ObjectIdentifiers {
    /// Your own id of the object.
    #[serde(default, deserialize_with = "text")]
    pub object_id: Option<String>,
    /// The id that Customer.io assigned.
    #[serde(default, deserialize_with = "text")]
    pub cio_object_id: Option<String>,
}

impl fmt::Debug for ObjectIdentifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectIdentifiers([redacted])")
    }
}

/// The subscriptions of a person.
///
/// `Debug` leaves out the person.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionPreferences {
    /// Your own id of the person, if they have one.
    #[serde(default, deserialize_with = "text")]
    pub id: Option<String>,
    /// All identifiers of the person.
    #[serde(default, deserialize_with = "lenient")]
    pub identifiers: Option<Identifiers>,
    /// Whether the person unsubscribed from all messages.
    #[serde(default, deserialize_with = "flag")]
    pub unsubscribed: bool,
    /// The topics of the workspace.
    #[serde(default, deserialize_with = "list")]
    pub topics: Vec<TopicSubscription>,
}

impl fmt::Debug for SubscriptionPreferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionPreferences")
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}

/// A topic, and whether a person subscribed to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TopicSubscription {
    /// The number of the topic.
    #[serde(default, deserialize_with = "number")]
    pub id: Option<u64>,
    /// The name, in the language that was asked for.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The description, in the language that was asked for.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// Whether the person subscribed to it.
    #[serde(default, deserialize_with = "flag")]
    pub subscribed: bool,
}

/// A sender whose messages a person does not want.
///
/// ```
/// use customerio::app::OptOut;
/// let sender = OptOut::sms("+15551234567");
/// assert_eq!(sender.channel, "sms");
/// ```
///
/// `Debug` shows the channel.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OptOut {
    /// The channel: `sms` or `whatsapp`.
    #[serde(default = "sms")]
    pub channel: String,
    /// The sender: a phone number, an alphanumeric id or the id of a messaging service.
    pub from: String,
}

fn sms() -> String {
    "sms".to_owned()
}

impl OptOut {
    /// Names a sender of text messages.
    #[must_use]
    pub fn sms(from: impl Into<String>) -> Self {
        Self {
            channel: sms(),
            from: from.into(),
        }
    }

    /// Names a sender of messages in `WhatsApp`.
    #[must_use]
    pub fn whatsapp(from: impl Into<String>) -> Self {
        Self {
            channel: "whatsapp".to_owned(),
            from: from.into(),
        }
    }

    /// Returns the request that opts a person out of some senders, or back in.
    ///
    /// # Errors
    ///
    /// There is no sender, or one is blank.
    pub fn change(
        person: &Person,
        senders: &[Self],
        optout: bool,
    ) -> Result<AppRequest, InvalidInput> {
        #[derive(Serialize)]
        struct Change<'a> {
            #[serde(flatten)]
            sender: &'a OptOut,
            optout: bool,
        }
        check_some("senders", senders.len())?;
        if senders.iter().any(|sender| sender.from.trim().is_empty()) {
            return Err(InvalidInput::malformed(
                "senders",
                "have a blank one; leave it out",
            ));
        }
        let changes = senders.iter().map(|sender| Change { sender, optout });
        let changes: Vec<_> = changes.collect();
        let request = AppRequest::of_person(Method::PUT, person, "optouts")?;
        request.json(&json!({ "optouts": changes }))
    }
}

impl fmt::Debug for OptOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptOut")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// A person with all senders whose messages they do not want.
///
/// `Debug` leaves out the person.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct PersonOptOuts {
    /// The id that Customer.io assigned, with or without the prefix `cio_`.
    #[serde(default, deserialize_with = "text")]
    pub cio_id: Option<String>,
    /// Your own id of the person, if they have one.
    #[serde(default, deserialize_with = "text")]
    pub customer_id: Option<String>,
    /// The senders.
    #[serde(default, deserialize_with = "list")]
    pub optouts: Vec<OptOut>,
}

impl fmt::Debug for PersonOptOuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonOptOuts")
            .field("optouts", &self.optouts)
            .finish_non_exhaustive()
    }
}

/// A segment of people.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Segment {
    /// The number of the segment.
    pub id: u64,
    /// The name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// Whether it is built: `finished`, or `events`, `build`, `events_queued` or `build_queued`.
    #[serde(default, deserialize_with = "text")]
    pub state: Option<String>,
    /// How much of it is built, in percent, until it is finished.
    #[serde(default, deserialize_with = "number")]
    pub progress: Option<u64>,
    /// `dynamic`, or `manual` if people are added by the Track API.
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub segment_type: Option<String>,
    /// The tags.
    #[serde(default, deserialize_with = "list")]
    pub tags: Vec<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, deserialize_with = "timestamp")]
    pub updated_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_another_format_are_absent() {
        let customer: Customer = serde_json::from_value(json!({
            "id": "", "identifiers": null, "attributes": {"created_at": "1489014595", "n": 1},
            "timestamps": {}, "unsubscribed": "true", "devices": null,
        }))
        .unwrap();
        assert_eq!((customer.id.as_deref(), customer.devices.len()), (None, 0));
        assert_eq!(customer.attribute("created_at"), Some("1489014595"));
        assert!(customer.attribute("n").is_none() && customer.unsubscribed);
        let bare: Customer = serde_json::from_value(json!({"attributes": null})).unwrap();
        assert!(bare.attributes.is_empty() && !bare.unsubscribed);
        let segment: Segment = serde_json::from_value(json!({"id": 7, "tags": null})).unwrap();
        assert_eq!(
            (segment.id, segment.progress, segment.tags.len()),
            (7, None, 0)
        );
        let topic: TopicSubscription =
            serde_json::from_value(json!({"id": "3", "subscribed": true})).unwrap();
        assert_eq!((topic.id, topic.subscribed), (Some(3), true));
        let sender: OptOut = serde_json::from_value(json!({"from": "+1"})).unwrap();
        assert_eq!(sender, OptOut::sms("+1"));
    }

    #[test]
    fn a_change_of_opt_outs_names_each_sender() {
        let jane = Person::id("u1").unwrap();
        let senders = [OptOut::sms("+1"), OptOut::whatsapp("+2")];
        let request = OptOut::change(&jane, &senders, true).unwrap();
        let body: Value = serde_json::from_slice(request.content().unwrap()).unwrap();
        let expected = json!([
            {"channel": "sms", "from": "+1", "optout": true},
            {"channel": "whatsapp", "from": "+2", "optout": true},
        ]);
        assert_eq!(body, json!({ "optouts": expected }));
        assert!(OptOut::change(&jane, &[], true).is_err());
        assert!(OptOut::change(&jane, &[OptOut::sms(" ")], true).is_err());
    }
}
