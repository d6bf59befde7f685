use std::fmt;

use serde::Serialize;

use crate::operation::check_delivery_id;
use crate::{InvalidInput, Timestamp};

/// An event of a push notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PushEvent {
    /// The person converted.
    Converted,
    /// The notification arrived on the device.
    Delivered,
    /// The person opened it.
    Opened,
}

impl PushEvent {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Delivered => "delivered",
            Self::Opened => "opened",
        }
    }
}

/// The channel of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// Email.
    Email,
    /// A message in an app.
    InApp,
    /// A push notification.
    Push,
    /// Slack.
    Slack,
    /// A text message.
    Sms,
    /// A webhook.
    Webhook,
}

impl Channel {
    /// Returns the metrics that the API accepts for this channel, from its specification.
    #[must_use]
    pub const fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Email | Self::Webhook => &[
                "bounced",
                "clicked",
                "converted",
                "deferred",
                "delivered",
                "dropped",
                "opened",
                "spammed",
            ],
            Self::InApp => &["clicked", "converted", "opened"],
            Self::Push => &["converted", "delivered", "opened"],
            Self::Slack => &["clicked", "converted", "delivered", "opened"],
            Self::Sms => &["bounced", "clicked", "delivered", "opened"],
        }
    }
}

/// A metric of one delivery, for messages whose metrics you report yourself.
///
/// `Debug` shows the metric and leaves out the delivery and the recipient.
///
/// ```
/// use customerio::{Channel, Metric, v1};
/// let clicked = Metric::new(Channel::Email, "clicked", "RPILAgUBcRhIBqSfeiIwdIYJKxTY")?
///     .href("https://example.com/offer");
/// assert_eq!(v1::metric(&clicked).path(), "/api/v1/metrics");
/// assert!(Metric::new(Channel::Sms, "spammed", "RPILAgUBcRhIBqSfeiIwdIYJKxTY").is_err());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Metric {
    delivery_id: String,
    metric: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

impl Metric {
    /// Creates a metric of a delivery.
    ///
    /// # Errors
    ///
    /// The channel has no such metric, or the delivery id is empty or takes more than 1,000 bytes.
    pub fn new(
        channel: Channel,
        metric: &str,
        delivery_id: impl Into<String>,
    ) -> Result<Self, InvalidInput> {
        let delivery_id = delivery_id.into();
        check_delivery_id(&delivery_id)?;
        let known = channel.metrics().iter().find(|known| **known == metric);
        let metric = known.ok_or_else(|| {
            InvalidInput::malformed(
                "metric",
                "is not one of the channel's; `Channel::metrics` lists them",
            )
        })?;
        Ok(Self {
            delivery_id,
            metric,
            timestamp: None,
            recipient: None,
            reason: None,
            href: None,
        })
    }

    /// Sets the time; without it the server uses the time of arrival.
    pub fn timestamp(mut self, moment: Timestamp) -> Self {
        self.timestamp = Some(moment);
        self
    }

    /// Sets the address, number or device that the message went to.
    pub fn recipient(mut self, recipient: impl Into<String>) -> Self {
        self.recipient = Some(recipient.into());
        self
    }

    /// Sets the reason why the message did not arrive.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the link that was clicked.
    pub fn href(mut self, link: impl Into<String>) -> Self {
        self.href = Some(link.into());
        self
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric")
            .field("metric", &self.metric)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}
