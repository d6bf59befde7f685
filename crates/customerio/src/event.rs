use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use crate::error::check_bytes;
use crate::json::JsonObject;
use crate::{Attributes, EventId, InvalidInput, Timestamp, Validation};

/// The documented limit of an event's data in version 1, in bytes.
const MAX_DATA: usize = 100_000;

/// The usual size of an event of version 1 without its data, so that the buffer rarely grows.
const HEAD: usize = 160;

/// The documented limit of an event's name, in bytes. The API rejects a longer name of a page or a
/// screen in the same words as that of another event.
const MAX_NAME: usize = 100;

/// An event: a name, and optionally an id, a time and attributes.
///
/// An event with an id may be sent again after a failure, since Customer.io ignores an id that it
/// received before. `Client::track` adds an id to an event without one.
///
/// ```
/// use customerio::{Event, EventId, Operation, Person, Timestamp};
/// let event = Event::new("purchase")?
///     .id(EventId::derive("orders", "4711", None))
///     .timestamp(Timestamp::new(1_700_000_000)?);
/// assert!(Operation::event(&Person::id("u1")?, &event)?.may_replay());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Event {
    pub(crate) kind: EventKind,
    pub(crate) name: String,
    pub(crate) id: Option<EventId>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) attributes: Attributes,
}

/// The kind of an event, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    Event,
    Page,
    Screen,
}

impl EventKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Page => "page",
            Self::Screen => "screen",
        }
    }
}

impl Event {
    /// Creates an event with a name. The server trims the name.
    ///
    /// # Errors
    ///
    /// The name is blank or takes more than 100 bytes.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidInput> {
        Self::with(Validation::Strict, name)
    }

    /// Creates an event with a name and the given validation.
    ///
    /// # Errors
    ///
    /// As for [`Event::new`], as far as `validation` checks it.
    pub fn with(validation: Validation, name: impl Into<String>) -> Result<Self, InvalidInput> {
        Self::of_kind(EventKind::Event, name.into(), validation)
    }

    /// Creates the event of a web page view. The name is the page's URL or path.
    ///
    /// The API rejects a longer name. The attribute `url` can contain a URL of any length.
    ///
    /// # Errors
    ///
    /// The name is blank or takes more than 100 bytes.
    pub fn page(name: impl Into<String>) -> Result<Self, InvalidInput> {
        Self::of_kind(EventKind::Page, name.into(), Validation::Strict)
    }

    /// Creates the event of an app's screen view.
    ///
    /// # Errors
    ///
    /// The name is blank or takes more than 100 bytes.
    pub fn screen(name: impl Into<String>) -> Result<Self, InvalidInput> {
        Self::of_kind(EventKind::Screen, name.into(), Validation::Strict)
    }

    fn of_kind(
        kind: EventKind,
        name: String,
        validation: Validation,
    ) -> Result<Self, InvalidInput> {
        if validation.is_strict() {
            check_bytes("event name", name.trim().len(), MAX_NAME)?;
        }
        if !validation.is_off() && name.trim().is_empty() {
            return Err(InvalidInput::malformed(
                "event name",
                "is blank; give a name",
            ));
        }
        Ok(Self {
            kind,
            name,
            id: None,
            timestamp: None,
            attributes: Attributes::new(),
        })
    }

    /// Sets the id, by which the server ignores a second copy.
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the time of the event; without it the server uses the time of arrival.
    ///
    /// Only events of the last 72 hours trigger campaigns.
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the data of the event.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    pub(crate) fn check_v1(&self) -> Result<(), InvalidInput> {
        if self.attributes.validation().is_off() {
            return Ok(());
        }
        check_bytes("event data", self.attributes.size(), MAX_DATA)
    }
}

/// An event of an anonymous visitor. Only version 1 of the API supports it.
///
/// `Debug` shows the event and leaves out the anonymous id.
#[derive(Clone, PartialEq)]
#[must_use]
pub struct AnonymousEvent {
    pub(crate) anonymous_id: Option<String>,
    pub(crate) event: Event,
}

impl AnonymousEvent {
    /// Creates an event of the visitor `anonymous_id`.
    ///
    /// If a person is identified with the same `anonymous_id` within 30 days, the event becomes
    /// theirs.
    ///
    /// # Errors
    ///
    /// The `anonymous_id` is empty, or the event's data takes more than 100,000 bytes.
    pub fn new(anonymous_id: impl Into<String>, event: Event) -> Result<Self, InvalidInput> {
        let anonymous_id = anonymous_id.into();
        if anonymous_id.is_empty() {
            return Err(InvalidInput::malformed(
                "anonymous id",
                "is empty; give one, or use `AnonymousEvent::invite`",
            ));
        }
        event.check_v1()?;
        Ok(Self {
            anonymous_id: Some(anonymous_id),
            event,
        })
    }

    /// Creates an event that invites `recipient`, an email address, without creating a person.
    ///
    /// # Errors
    ///
    /// The `recipient` is empty, or the event's data takes more than 100,000 bytes.
    pub fn invite(recipient: &str, mut event: Event) -> Result<Self, InvalidInput> {
        if recipient.is_empty() {
            return Err(InvalidInput::malformed(
                "recipient",
                "is empty; give an email address",
            ));
        }
        event.attributes.insert("recipient", recipient)?;
        event.check_v1()?;
        Ok(Self {
            anonymous_id: None,
            event,
        })
    }
}

impl fmt::Debug for AnonymousEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnonymousEvent")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// The body of version 1, in which the attributes are the member `data`.
#[derive(Serialize)]
pub(crate) struct EventBody<'a> {
    #[serde(skip_serializing_if = "is_event")]
    r#type: EventKind,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<&'a str>,
    #[serde(skip)]
    data: &'a Attributes,
}

impl<'a> EventBody<'a> {
    pub(crate) fn new(event: &'a Event, anonymous_id: Option<&'a str>) -> Self {
        Self {
            r#type: event.kind,
            name: &event.name,
            id: event.id,
            timestamp: event.timestamp,
            anonymous_id,
            data: &event.attributes,
        }
    }

    pub(crate) fn to_json(&self) -> Bytes {
        let mut json = Vec::with_capacity(HEAD + self.data.size());
        let object = JsonObject::open(&mut json, self);
        object.member("data", |json| self.data.write(json)).close();
        json.into()
    }
}

/// Returns whether the kind is the default, which version 1 leaves out.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_event(kind: &EventKind) -> bool {
    *kind == EventKind::Event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: usize) -> Event {
        let mut attributes = Attributes::new();
        attributes
            .insert("a", "x".repeat(bytes - r#"{"a":""}"#.len()))
            .unwrap();
        Event::new("e").unwrap().attributes(attributes)
    }

    #[test]
    fn blank_names_and_ids_are_errors() {
        for name in ["", " ", "\t\n"] {
            assert!(Event::new(name).is_err(), "{name:?}");
        }
        assert!(AnonymousEvent::new("", data(20)).is_err());
        assert!(AnonymousEvent::invite("", data(20)).is_err());
    }

    #[test]
    fn names_of_all_kinds_take_at_most_100_bytes() {
        let kinds: [fn(String) -> Result<Event, InvalidInput>; 3] =
            [Event::new, Event::page, Event::screen];
        for kind in kinds {
            assert!(kind("x".repeat(100)).is_ok());
            assert!(kind(format!(" {}\n", "x".repeat(100))).is_ok());
            assert!(kind("x".repeat(101)).unwrap_err().is_too_large());
            assert!(kind("é".repeat(51)).unwrap_err().is_too_large());
        }
    }

    #[test]
    fn event_data_keeps_the_limit_of_version_1() {
        assert!(AnonymousEvent::new("a", data(100_000)).is_ok());
        assert!(
            AnonymousEvent::new("a", data(100_001))
                .unwrap_err()
                .is_too_large()
        );
        assert!(AnonymousEvent::invite("a@b.co", data(100_000)).is_err());
    }
}
