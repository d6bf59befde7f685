use std::fmt;

/// The type of an event's object: the channel of a message, or a person.
///
/// A later release may add a variant for a name that is [`Other`](Self::Other) today. Compare
/// [`as_str`](Self::as_str) with a name that has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectType {
    /// A person, whose subscription changed: `customer`.
    Customer,
    /// An email: `email`.
    Email,
    /// A message in an app: `in_app`.
    InApp,
    /// A push notification: `push`.
    Push,
    /// A message in Slack: `slack`.
    Slack,
    /// A text message: `sms`.
    Sms,
    /// A request to a URL of yours: `webhook`.
    Webhook,
    /// A message in `WhatsApp`: `whatsapp`.
    Whatsapp,
    /// A name that this release does not know.
    Other(Box<str>),
}

impl ObjectType {
    const NAMED: [Self; 8] = [
        Self::Customer,
        Self::Email,
        Self::InApp,
        Self::Push,
        Self::Slack,
        Self::Sms,
        Self::Webhook,
        Self::Whatsapp,
    ];

    pub(super) fn of(name: String) -> Self {
        let mut named = Self::NAMED.into_iter();
        named
            .find(|named| named.as_str() == name)
            .unwrap_or_else(|| Self::Other(name.into()))
    }

    /// Returns the name as Customer.io writes it.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match self {
            Self::Customer => "customer",
            Self::Email => "email",
            Self::InApp => "in_app",
            Self::Push => "push",
            Self::Slack => "slack",
            Self::Sms => "sms",
            Self::Webhook => "webhook",
            Self::Whatsapp => "whatsapp",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The metric of an event: a change of a message or of a person's subscription.
///
/// A later release may add a variant for a name that is [`Other`](Self::Other) today. Compare
/// [`as_str`](Self::as_str) with a name that has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventMetric {
    /// Customer.io tried to send the message and may try again: `attempted`.
    Attempted,
    /// The recipient's server rejected the message: `bounced`.
    Bounced,
    /// The person clicked a link: `clicked`.
    Clicked,
    /// The person converted: `converted`.
    Converted,
    /// The recipient's server rejected the message for now: `deferred`.
    Deferred,
    /// The message arrived: `delivered`.
    Delivered,
    /// The message was created and not sent: `drafted`.
    Drafted,
    /// The message was not sent, since an earlier one to this address failed: `dropped`.
    Dropped,
    /// The message could not be sent: `failed`.
    Failed,
    /// The message was opened, perhaps by a machine: `opened`. See
    /// [`is_prefetched`](super::EventData::is_prefetched) and
    /// [`is_proxied`](super::EventData::is_proxied).
    Opened,
    /// The person replied: `replied`.
    Replied,
    /// The message was handed to the service that delivers it: `sent`.
    Sent,
    /// The person marked the message as spam: `spammed`.
    Spammed,
    /// The person subscribed: `subscribed`.
    Subscribed,
    /// The person changed the preferences: `cio_subscription_preferences_changed`.
    SubscriptionPreferencesChanged,
    /// The message cannot be delivered to this person: `undeliverable`.
    Undeliverable,
    /// The person unsubscribed: `unsubscribed`.
    Unsubscribed,
    /// A name that this release does not know.
    Other(Box<str>),
}

impl EventMetric {
    const NAMED: [Self; 17] = [
        Self::Attempted,
        Self::Bounced,
        Self::Clicked,
        Self::Converted,
        Self::Deferred,
        Self::Delivered,
        Self::Drafted,
        Self::Dropped,
        Self::Failed,
        Self::Opened,
        Self::Replied,
        Self::Sent,
        Self::Spammed,
        Self::Subscribed,
        Self::SubscriptionPreferencesChanged,
        Self::Undeliverable,
        Self::Unsubscribed,
    ];

    pub(super) fn of(name: String) -> Self {
        let mut named = Self::NAMED.into_iter();
        named
            .find(|named| named.as_str() == name)
            .unwrap_or_else(|| Self::Other(name.into()))
    }

    /// Returns the name as Customer.io writes it.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match self {
            Self::Attempted => "attempted",
            Self::Bounced => "bounced",
            Self::Clicked => "clicked",
            Self::Converted => "converted",
            Self::Deferred => "deferred",
            Self::Delivered => "delivered",
            Self::Drafted => "drafted",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Opened => "opened",
            Self::Replied => "replied",
            Self::Sent => "sent",
            Self::Spammed => "spammed",
            Self::Subscribed => "subscribed",
            Self::SubscriptionPreferencesChanged => "cio_subscription_preferences_changed",
            Self::Undeliverable => "undeliverable",
            Self::Unsubscribed => "unsubscribed",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for EventMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
