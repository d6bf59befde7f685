use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The members of an event's `data`.
///
/// Each accessor returns nothing if the member is absent, null or of another type.
/// [`get`](Self::get) reads a member that has no accessor.
///
/// `Debug` shows nothing of the data, which is personal.
///
/// # The members of each event
///
/// All events have [`identifiers`](Self::identifiers). Those about a message have
/// [`delivery_id`](Self::delivery_id) and a [`source`](Self::source).
///
/// | type | metric | accessors |
/// |---|---|---|
/// | `customer` | all | `email_address`, `content` for preferences |
/// | `email` | all but `attempted` | `recipient`, `subject` |
/// | `email` | `sent` | `content`, and `headers` by `get` |
/// | `email` | `opened` | `is_proxied`, `is_prefetched`, `is_synthetic` |
/// | `email` | `clicked` | `href`, `link_id`, `is_machine` |
/// | `push` | all but `drafted`, `attempted`, `failed`, `undeliverable` | `recipients` |
/// | others | all but `drafted`, `attempted`, `failed`, `undeliverable` | `recipient` |
/// | others | `sent`, `clicked` | `content`; `href`, `link_id`, `tracked_response` |
/// | `sms`, `whatsapp` | `replied` | `to`, `inbound_event_id` |
/// | all | `attempted`, `bounced`, `dropped`, `failed`, `undeliverable` | `failure_message` |
#[derive(Clone, PartialEq)]
pub struct EventData(Map<String, Value>);

impl EventData {
    pub(super) const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Returns a member as a type of your choice, or nothing if the member is absent or of another
    /// type.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use customerio::webhooks::WebhookEvent;
    ///
    /// let event = WebhookEvent::from_slice(br#"{
    ///     "event_id": "1", "object_type": "email", "metric": "sent", "timestamp": 1669337049,
    ///     "data": {"headers": {"x-tag": "a"}, "new_member": [1, 2]}
    /// }"#)?;
    /// let headers: HashMap<String, String> = event.data().get("headers").unwrap();
    /// assert_eq!(headers["x-tag"], "a");
    /// assert_eq!(event.data().get("new_member"), Some([1, 2]));
    /// # Ok::<(), customerio::webhooks::InvalidEvent>(())
    /// ```
    #[must_use]
    pub fn get<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// Returns the names of all members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the identifiers of the person.
    #[must_use]
    pub fn identifiers(&self) -> Identifiers<'_> {
        let identifiers = self.0.get("identifiers").and_then(Value::as_object);
        let identifier = |name| text(identifiers?, name);
        Identifiers {
            id: identifier("id"),
            email: identifier("email"),
            cio_id: identifier("cio_id"),
        }
    }

    /// Returns the id of the person in the older form. It is empty if the person was deleted.
    #[must_use]
    pub fn customer_id(&self) -> Option<&str> {
        text(&self.0, "customer_id")
    }

    /// Returns the id of the message's delivery.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        text(&self.0, "delivery_id")
    }

    /// Returns the source of the message, such as a campaign.
    #[must_use]
    pub fn source(&self) -> Option<Source<'_>> {
        let data = &self.0;
        match source_member(data)? {
            "newsletter_id" => Some(Source::Newsletter {
                newsletter_id: number(data, "newsletter_id"),
                content_id: number(data, "content_id"),
            }),
            "transactional_message_id" => Some(Source::Transactional {
                transactional_message_id: number(data, "transactional_message_id"),
            }),
            "campaign_id" => Some(Source::Campaign {
                campaign_id: number(data, "campaign_id"),
                action_id: number(data, "action_id"),
                parent_action_id: number(data, "parent_action_id"),
                journey_id: text(data, "journey_id"),
                trigger_event_id: text(data, "trigger_event_id"),
            }),
            _ => Some(Source::Broadcast {
                broadcast_id: number(data, "broadcast_id"),
                trigger_id: number(data, "trigger_id"),
                action_id: number(data, "action_id"),
                parent_action_id: number(data, "parent_action_id"),
                journey_id: text(data, "journey_id"),
            }),
        }
    }

    /// Returns the id of the message's template.
    #[must_use]
    pub fn template_id(&self) -> Option<u64> {
        number(&self.0, "template_id")
    }

    /// Returns the address, number, channel or URL that the message went to; for a reply, the
    /// person's number.
    #[must_use]
    pub fn recipient(&self) -> Option<&str> {
        text(&self.0, "recipient")
    }

    /// Returns the devices that a push notification went to.
    pub fn recipients(&self) -> impl Iterator<Item = PushRecipient<'_>> {
        let devices = self.0.get("recipients").and_then(Value::as_array);
        let devices = devices.into_iter().flatten().filter_map(Value::as_object);
        devices.map(|device| PushRecipient {
            device_id: text(device, "device_id"),
            device_platform: text(device, "device_platform"),
            failure_message: text(device, "failure_message"),
        })
    }

    /// Returns the email address whose subscription changed.
    #[must_use]
    pub fn email_address(&self) -> Option<&str> {
        text(&self.0, "email_address")
    }

    /// Returns the subject of the email.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        text(&self.0, "subject")
    }

    /// Returns the content of a sent message, if the webhook is set to report it; for
    /// `cio_subscription_preferences_changed`, the preferences as JSON.
    #[must_use]
    pub fn content(&self) -> Option<&str> {
        text(&self.0, "content")
    }

    /// Returns the reason why the message was not delivered, for people to read.
    #[must_use]
    pub fn failure_message(&self) -> Option<&str> {
        text(&self.0, "failure_message")
    }

    /// Returns the link that was clicked.
    #[must_use]
    pub fn href(&self) -> Option<&str> {
        text(&self.0, "href")
    }

    /// Returns the id of the link that was clicked.
    #[must_use]
    pub fn link_id(&self) -> Option<u64> {
        number(&self.0, "link_id")
    }

    /// Returns the name of the response that was clicked in an app.
    #[must_use]
    pub fn tracked_response(&self) -> Option<&str> {
        text(&self.0, "tracked_response")
    }

    /// Returns the number that a reply went to.
    #[must_use]
    pub fn to(&self) -> Option<&str> {
        text(&self.0, "to")
    }

    /// Returns the id of a reply.
    #[must_use]
    pub fn inbound_event_id(&self) -> Option<&str> {
        text(&self.0, "inbound_event_id")
    }

    /// Returns whether an email was opened through a proxy.
    #[must_use]
    pub fn is_proxied(&self) -> Option<bool> {
        flag(&self.0, "proxied")
    }

    /// Returns whether an email was opened by a program that fetches images in advance.
    #[must_use]
    pub fn is_prefetched(&self) -> Option<bool> {
        flag(&self.0, "prefetched")
    }

    /// Returns whether Customer.io inferred that an email was opened.
    #[must_use]
    pub fn is_synthetic(&self) -> Option<bool> {
        flag(&self.0, "synthetic")
    }

    /// Returns whether a machine clicked the link.
    #[must_use]
    pub fn is_machine(&self) -> Option<bool> {
        flag(&self.0, "machine")
    }
}

/// Returns the member that names the source. The id of a campaign or a broadcast may be null, so a
/// member that has a value comes first.
fn source_member(data: &Map<String, Value>) -> Option<&'static str> {
    let members = [
        "trigger_id",
        "broadcast_id",
        "newsletter_id",
        "transactional_message_id",
        "campaign_id",
    ];
    let has_value = |name: &&str| data.get(*name).is_some_and(|value| !value.is_null());
    let by_value = members.into_iter().find(has_value);
    by_value.or_else(|| members.into_iter().find(|name| data.contains_key(*name)))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

fn number(members: &Map<String, Value>, name: &str) -> Option<u64> {
    members.get(name)?.as_u64()
}

fn flag(members: &Map<String, Value>, name: &str) -> Option<bool> {
    members.get(name)?.as_bool()
}

impl fmt::Debug for EventData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventData([redacted])")
    }
}

/// The identifiers of a person. `Debug` shows none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identifiers<'a> {
    /// The id that you gave the person.
    pub id: Option<&'a str>,
    /// The person's email address.
    pub email: Option<&'a str>,
    /// The id that Customer.io gave the person, which never changes.
    pub cio_id: Option<&'a str>,
}

impl fmt::Debug for Identifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifiers([redacted])")
    }
}

/// A device that a push notification went to. `Debug` shows the platform only.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushRecipient<'a> {
    /// The token of the device.
    pub device_id: Option<&'a str>,
    /// `ios` or `android`.
    pub device_platform: Option<&'a str>,
    /// The reason why the notification was not delivered.
    pub failure_message: Option<&'a str>,
}

impl fmt::Debug for PushRecipient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushRecipient")
            .field("device_platform", &self.device_platform)
            .finish_non_exhaustive()
    }
}

/// The source of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A broadcast that was triggered through the API.
    #[non_exhaustive]
    Broadcast {
        /// The id of the broadcast.
        broadcast_id: Option<u64>,
        /// The id of this trigger.
        trigger_id: Option<u64>,
        /// The id of the action in the workflow.
        action_id: Option<u64>,
        /// The id of the action that contains this one, such as a test of two variants.
        parent_action_id: Option<u64>,
        /// The id of the person's way through the workflow.
        journey_id: Option<&'a str>,
    },
    /// An automation, such as a campaign.
    #[non_exhaustive]
    Campaign {
        /// The id of the campaign.
        campaign_id: Option<u64>,
        /// The id of the action in the workflow.
        action_id: Option<u64>,
        /// The id of the action that contains this one, such as a test of two variants.
        parent_action_id: Option<u64>,
        /// The id of the person's way through the workflow.
        journey_id: Option<&'a str>,
        /// The id of the event that started the campaign.
        trigger_event_id: Option<&'a str>,
    },
    /// A newsletter: a message that was sent once.
    #[non_exhaustive]
    Newsletter {
        /// The id of the newsletter.
        newsletter_id: Option<u64>,
        /// The id of the variant.
        content_id: Option<u64>,
    },
    /// A transactional message.
    #[non_exhaustive]
    Transactional {
        /// The id of the transactional message.
        transactional_message_id: Option<u64>,
    },
}
