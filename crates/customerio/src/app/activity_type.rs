use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Defines an enum of names that Customer.io writes.
macro_rules! names {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Returns the name as Customer.io writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            fn named(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// A step of a message.
    MessageActivity {
        /// Customer.io tried to send it and may try again.
        Attempted = "attempted",
        /// The recipient's server rejected it.
        Bounced = "bounced",
        /// The person clicked a link.
        Clicked = "clicked",
        /// The person converted.
        Converted = "converted",
        /// The recipient's server rejected it for now.
        Deferred = "deferred",
        /// It arrived.
        Delivered = "delivered",
        /// It was created and not sent.
        Drafted = "drafted",
        /// It was not sent, since an earlier one to this address failed.
        Dropped = "dropped",
        /// It could not be sent.
        Failed = "failed",
        /// It was opened.
        Opened = "opened",
        /// It was handed to the service that delivers it.
        Sent = "sent",
        /// The person marked it as spam.
        Spammed = "spammed",
        /// The address is suppressed.
        Suppressed = "suppressed",
        /// The person unsubscribed from a topic.
        TopicUnsubscribed = "topic_unsubscribed",
        /// It cannot be delivered to this person.
        Undeliverable = "undeliverable",
        /// The person unsubscribed.
        Unsubscribed = "unsubscribed",
        /// The person viewed it.
        Viewed = "viewed",
    }
}

names! {
    /// The channel of a message in an activity.
    MessageChannel {
        /// An action of an automation.
        Action = "action",
        /// Content in an app or on a page.
        Content = "content",
        /// An email.
        Email = "email",
        /// A message in an app.
        InApp = "in_app",
        /// A push notification.
        Push = "push",
        /// A message in Slack.
        Slack = "slack",
        /// A text message, which the API names `twilio`.
        Sms = "twilio",
        /// A request to a URL of yours.
        Webhook = "webhook",
        /// A message in `WhatsApp`.
        WhatsApp = "whatsapp",
    }
}

names! {
    /// An event or a change of a person.
    PersonActivity {
        /// A relationship was added.
        AddRelationship = "add_relationship",
        /// The person was identified as an anonymous visitor.
        AnonMerge = "anon_merge",
        /// Attributes changed.
        AttributeChange = "attribute_change",
        /// A relationship was deleted.
        DeleteRelationship = "delete_relationship",
        /// A device changed.
        DeviceChange = "device_change",
        /// The person performed an event.
        Event = "event",
        /// Attributes did not change, as when an identifier belongs to another person.
        FailedAttributeChange = "failed_attribute_change",
        /// An update by an automation failed.
        FailedBatchUpdate = "failed_batch_update",
        /// An event was not recorded.
        FailedEvent = "failed_event",
        /// Journeys of related objects did not begin.
        FailedObjectJourneys = "failed_object_journeys",
        /// A query of a collection failed.
        FailedQueryCollection = "failed_query_collection",
        /// The person viewed a page.
        Page = "page",
        /// The person was created.
        ProfileCreate = "profile_create",
        /// The person was deleted.
        ProfileDelete = "profile_delete",
        /// Another person was merged into this one.
        ProfileMerge = "profile_merge",
        /// Attributes of a relationship changed.
        RelationshipAttributeChange = "relationship_attribute_change",
        /// Attributes of a relationship did not change.
        RelationshipFailedAttributeChange = "relationship_failed_attribute_change",
        /// The person viewed a screen of an app.
        Screen = "screen",
        /// An update was skipped.
        SkippedUpdate = "skipped_update",
        /// A webhook reported an event.
        WebhookEvent = "webhook_event",
    }
}

names! {
    /// A change of an object, or of a relationship with one.
    ObjectActivity {
        /// A relationship was added.
        AddRelationship = "add_relationship",
        /// Attributes changed.
        AttributeChange = "attribute_change",
        /// The object was created.
        Create = "create",
        /// The object was deleted.
        Delete = "delete",
        /// A relationship was deleted.
        DeleteRelationship = "delete_relationship",
        /// Attributes did not change.
        FailedAttributeChange = "failed_attribute_change",
    }
}

/// The type of an activity.
///
/// The set is open. A name that this release does not know is [`Other`](Self::Other), and a later
/// release may give it a variant.
///
/// ```
/// use customerio::app::{ActivityType, PersonActivity};
///
/// let failed: ActivityType = PersonActivity::FailedEvent.into();
/// assert_eq!(failed.to_string(), "failed_event");
/// assert_eq!("failed_event".parse::<ActivityType>()?, failed);
/// assert!(failed.is_not_applied());
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActivityType {
    /// Something happened to a message, such as `bounced_email`.
    Message(MessageActivity, MessageChannel),
    /// Something happened to a person, such as `attribute_change`.
    Person(PersonActivity),
    /// Something happened to an object of a type, such as `_o:1:create`.
    Object {
        /// The number of the type.
        type_id: Box<str>,
        /// The change.
        activity: ObjectActivity,
    },
    /// Something happened to a relationship with an object of a type, such as
    /// `_r:1:attribute_change`.
    Relationship {
        /// The number of the object's type.
        type_id: Box<str>,
        /// The change.
        activity: ObjectActivity,
    },
    /// A name that this release does not know.
    Other(Box<str>),
}

impl ActivityType {
    /// Returns whether it shows that the API accepted data and then did not apply it: a failed or
    /// skipped update of a person, an object or a relationship, or a failed event.
    ///
    /// Messages that failed are not meant: they have a status of their own.
    #[must_use]
    pub fn is_not_applied(&self) -> bool {
        match self {
            Self::Person(activity) => matches!(
                activity,
                PersonActivity::FailedAttributeChange
                    | PersonActivity::FailedBatchUpdate
                    | PersonActivity::FailedEvent
                    | PersonActivity::RelationshipFailedAttributeChange
                    | PersonActivity::SkippedUpdate
            ),
            Self::Object { activity, .. } | Self::Relationship { activity, .. } => {
                *activity == ObjectActivity::FailedAttributeChange
            }
            Self::Message(..) | Self::Other(_) => false,
        }
    }
}

/// The name of dropped `WhatsApp` messages has a typing error in the API, which a request repeats.
const DROPPED_WHATSAPP: &str = "dropped_whatasapp";

impl fmt::Display for ActivityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(MessageActivity::Dropped, MessageChannel::WhatsApp) => {
                f.write_str(DROPPED_WHATSAPP)
            }
            Self::Message(activity, channel) => write!(f, "{activity}_{channel}"),
            Self::Person(activity) => activity.fmt(f),
            Self::Object { type_id, activity } => write!(f, "_o:{type_id}:{activity}"),
            Self::Relationship { type_id, activity } => write!(f, "_r:{type_id}:{activity}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl From<PersonActivity> for ActivityType {
    fn from(activity: PersonActivity) -> Self {
        Self::Person(activity)
    }
}

impl FromStr for ActivityType {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        let known = PersonActivity::named(name)
            .map(Self::Person)
            .or_else(|| message(name))
            .or_else(|| object(name));
        Ok(known.unwrap_or_else(|| Self::Other(name.into())))
    }
}

fn message(name: &str) -> Option<ActivityType> {
    if name == DROPPED_WHATSAPP {
        let (activity, channel) = (MessageActivity::Dropped, MessageChannel::WhatsApp);
        return Some(ActivityType::Message(activity, channel));
    }
    // Names of activities and of channels have underscores too.
    name.match_indices('_').find_map(|(at, _)| {
        let activity = MessageActivity::named(&name[..at])?;
        let channel = MessageChannel::named(&name[at + 1..])?;
        Some(ActivityType::Message(activity, channel))
    })
}

fn object(name: &str) -> Option<ActivityType> {
    let (kind, rest) = name.split_at_checked("_o:".len())?;
    let (type_id, activity) = rest.rsplit_once(':')?;
    let (type_id, activity) = (type_id.into(), ObjectActivity::named(activity)?);
    match kind {
        "_o:" => Some(ActivityType::Object { type_id, activity }),
        "_r:" => Some(ActivityType::Relationship { type_id, activity }),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for ActivityType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let Ok(activity) = name.parse();
        Ok(activity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The activities that are documented for all eight channels.
    const OF_ALL_CHANNELS: &[&str] = &["attempted", "deferred", "failed", "sent", "undeliverable"];

    #[track_caller]
    fn check(name: &str, expected: &ActivityType) {
        let Ok(read) = name.parse::<ActivityType>();
        assert_eq!(read, *expected, "{name}");
        assert_eq!(read.to_string(), name);
    }

    #[test]
    fn every_documented_type_has_a_variant() {
        let channels = [
            "action", "email", "in_app", "push", "slack", "twilio", "webhook", "whatsapp",
        ];
        let messages = OF_ALL_CHANNELS.iter().flat_map(|activity| {
            channels
                .iter()
                .map(move |channel| format!("{activity}_{channel}"))
        });
        let others = "bounced_action bounced_twilio clicked_content converted_slack \
            delivered_whatsapp drafted_in_app dropped_push dropped_whatasapp opened_in_app \
            unsubscribed_email spammed_email suppressed_twilio suppressed_whatsapp \
            topic_unsubscribed_email viewed_content webhook_event skipped_update event page screen \
            attribute_change device_change profile_create profile_delete profile_merge anon_merge \
            add_relationship delete_relationship relationship_attribute_change \
            relationship_failed_attribute_change failed_attribute_change failed_event \
            failed_batch_update failed_object_journeys failed_query_collection \
            _o:1:add_relationship _o:1:attribute_change _o:1:create _o:1:delete \
            _o:1:delete_relationship _o:1:failed_attribute_change _r:1:attribute_change \
            _r:1:failed_attribute_change";
        let others = others.split_whitespace().map(str::to_owned);
        for name in messages.chain(others) {
            let Ok(read) = name.parse::<ActivityType>();
            assert!(!matches!(read, ActivityType::Other(_)), "{name}");
            assert_eq!(read.to_string(), name);
        }
    }

    #[test]
    fn an_unknown_type_keeps_its_name() {
        for name in [
            "",
            "sent_",
            "sent_pigeon",
            "_o:1:",
            "_x:1:create",
            "_o",
            "ü",
            "failed",
        ] {
            check(name, &ActivityType::Other(name.into()));
        }
        let Ok(spelled) = "dropped_whatsapp".parse::<ActivityType>();
        let (dropped, whatsapp) = (MessageActivity::Dropped, MessageChannel::WhatsApp);
        assert_eq!(spelled, ActivityType::Message(dropped, whatsapp));
    }

    #[test]
    fn failed_messages_are_no_lost_updates() {
        let not_applied = |name: &str| name.parse().is_ok_and(|t: ActivityType| t.is_not_applied());
        for name in [
            "failed_event",
            "failed_attribute_change",
            "skipped_update",
            "_o:1:failed_attribute_change",
        ] {
            assert!(not_applied(name), "{name}");
        }
        for name in [
            "failed_email",
            "failed_query_collection",
            "attribute_change",
            "failed_x",
        ] {
            assert!(!not_applied(name), "{name}");
        }
    }
}
