use std::{error, fmt};

use serde_json::{Map, Value};

use super::{EventData, EventMetric, ObjectType};

/// One event that a reporting webhook reports.
///
/// ```
/// use customerio::webhooks::{EventMetric, ObjectType, WebhookEvent};
///
/// let body = br#"{
///     "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
///     "object_type": "email",
///     "metric": "bounced",
///     "timestamp": 1669337049,
///     "data": {
///         "identifiers": {"id": "42", "email": "jane@example.com"},
///         "delivery_id": "RPILAgABcRhIBqSfeiIwdIYJKxTY",
///         "campaign_id": 23,
///         "recipient": "jane@example.com",
///         "failure_message": "550 no such mailbox"
///     }
/// }"#;
/// let event = WebhookEvent::from_slice(body)?;
/// match (event.object_type(), event.metric()) {
///     (ObjectType::Email, EventMetric::Bounced | EventMetric::Dropped) => {
///         assert_eq!(event.data().identifiers().id, Some("42"));
///         assert_eq!(event.data().failure_message(), Some("550 no such mailbox"));
///     }
///     _ => {} // an event that this program does not use, or one that is new
/// }
/// # Ok::<(), customerio::webhooks::InvalidEvent>(())
/// ```
///
/// The set of events is open. A type or a metric without a variant is kept as
/// [`ObjectType::Other`] and [`EventMetric::Other`], and members of `data` without an accessor are
/// kept for [`EventData::get`]. Other members beside `data` are ignored.
///
/// `Debug` shows id, type, metric and time, and leaves out `data`, which is personal.
#[derive(Clone, PartialEq)]
pub struct WebhookEvent {
    event_id: String,
    object_type: ObjectType,
    metric: EventMetric,
    timestamp: u64,
    data: EventData,
}

impl WebhookEvent {
    /// Parses the body of a request. It verifies nothing: [`Verifier`](super::Verifier) does.
    ///
    /// Parse verified bodies only. An event takes more memory than its body: about 100 times, if
    /// the body has nothing but small objects.
    ///
    /// # Errors
    ///
    /// The body is no JSON object, is nested deeper than 128 levels, or one of `event_id`,
    /// `object_type`, `metric`, `timestamp` and `data` is absent or of another type. A member of
    /// `data` is never the cause.
    ///
    /// Answer 2xx also then, and log the error: after a 400 Customer.io waits for an hour, and
    /// holds back all later events of the webhook.
    pub fn from_slice(body: &[u8]) -> Result<Self, InvalidEvent> {
        let object = serde_json::from_slice::<Map<String, Value>>(body);
        let mut object = object.map_err(|_| InvalidEvent(Problem::NotAnObject))?;
        Ok(Self {
            event_id: take_text(&mut object, "event_id")?,
            object_type: ObjectType::of(take_object_type(&mut object)?),
            metric: EventMetric::of(take_text(&mut object, "metric")?),
            timestamp: object
                .get("timestamp")
                .and_then(Value::as_u64)
                .ok_or(InvalidEvent(Problem::Member("timestamp")))?,
            data: match object.remove("data") {
                Some(Value::Object(data)) => EventData::new(data),
                _ => return Err(InvalidEvent(Problem::Member("data"))),
            },
        })
    }

    /// Returns the id of the event, which is the same in each copy that Customer.io sends.
    ///
    /// Events arrive at least once and in any order. Keep the ids of the last seven days, in which
    /// Customer.io retries, and drop an event whose id is among them.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Returns the type of the event's object: a channel, or `customer` for a subscription.
    #[must_use]
    pub const fn object_type(&self) -> &ObjectType {
        &self.object_type
    }

    /// Returns the metric, such as sent or bounced.
    #[must_use]
    pub const fn metric(&self) -> &EventMetric {
        &self.metric
    }

    /// Returns the time of the event, in unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Returns the data of the event.
    #[must_use]
    pub const fn data(&self) -> &EventData {
        &self.data
    }

    /// Returns the name of the event in the settings of a webhook, such as `email_bounced`.
    #[must_use]
    pub fn name(&self) -> String {
        let metric = self.metric.as_str();
        let metric = match self.object_type {
            // `cio_subscription_preferences_changed` has no prefix there.
            ObjectType::Customer => metric.strip_prefix("cio_").unwrap_or(metric),
            _ => metric,
        };
        format!("{}_{metric}", self.object_type)
    }
}

/// The specification names the type of one event `object_type_type`.
fn take_object_type(object: &mut Map<String, Value>) -> Result<String, InvalidEvent> {
    take_text(object, "object_type")
        .or_else(|missing| take_text(object, "object_type_type").map_err(|_| missing))
}

fn take_text(object: &mut Map<String, Value>, name: &'static str) -> Result<String, InvalidEvent> {
    match object.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(InvalidEvent(Problem::Member(name))),
    }
}

impl fmt::Debug for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEvent")
            .field("event_id", &self.event_id)
            .field("object_type", &self.object_type)
            .field("metric", &self.metric)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The error of a body that is no event.
///
/// The text contains no part of the body. The exact text may change in any release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEvent(Problem);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NotAnObject,
    Member(&'static str),
}

impl InvalidEvent {
    /// Returns whether the body is no JSON object.
    #[must_use]
    pub const fn is_syntax(&self) -> bool {
        matches!(self.0, Problem::NotAnObject)
    }

    /// Returns the name of the member that is absent or of another type.
    #[must_use]
    pub const fn member(&self) -> Option<&'static str> {
        match self.0 {
            Problem::Member(name) => Some(name),
            Problem::NotAnObject => None,
        }
    }
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Problem::NotAnObject => f.write_str(
                "the body is not one JSON object; check that only a reporting webhook of \
                 Customer.io has this URL",
            ),
            Problem::Member(name) => write!(
                f,
                "the event has no `{name}`, or one of another type; check that only a reporting \
                 webhook of Customer.io has this URL"
            ),
        }
    }
}

impl error::Error for InvalidEvent {}
