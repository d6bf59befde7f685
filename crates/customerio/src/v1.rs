//! Makes requests of version 1 of the Track API.
//!
//! Version 2 is the better choice where it can: there a [`Person`] says of which kind the identifier is, while
//! version 1 infers it from the shape of the string. So these functions refuse an id that contains `@` or starts
//! with `cio_`; name it with [`Person::email`] or [`Person::cio_id`] if it is one. Anonymous events exist here only.
//!
//! ```
//! use customerio::{Attributes, Person, v1};
//! let request = v1::identify(&Person::id("a b/c")?, &Attributes::new())?;
//! assert_eq!(request.path(), "/api/v1/customers/a%20b%2Fc");
//! assert!(v1::identify(&Person::id("a@b.co")?, &Attributes::new()).is_err());
//! # Ok::<(), customerio::InvalidInput>(())
//! ```

use std::fmt;

use bytes::Bytes;
use http::Method;

use crate::event::EventBody;
use crate::operation::to_bytes;
use crate::{AnonymousEvent, Attributes, Event, InvalidInput, Person, Request};

/// Holds one request of version 1.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) may_replay: bool,
}

/// Creates a person or updates their attributes.
///
/// # Errors
///
/// The id has the shape of another kind, there are more than 300 attributes, or a value takes more than 1,000 bytes.
pub fn identify(person: &Person, attributes: &Attributes) -> Result<Request, InvalidInput> {
    attributes.check_person()?;
    about(Method::PUT, person, "", Some(to_bytes(attributes)), true)
}

/// Reports what a person did. Without an id the event is not replayed after an ambiguous failure.
///
/// # Errors
///
/// The id has the shape of another kind, or the event's data takes more than 100,000 bytes.
pub fn event(person: &Person, event: &Event) -> Result<Request, InvalidInput> {
    event.check_v1()?;
    let body = to_bytes(&EventBody::new(event, None));
    about(
        Method::POST,
        person,
        "/events",
        Some(body),
        event.id.is_some(),
    )
}

/// Reports what somebody did who is not identified yet.
#[must_use]
pub fn anonymous_event(event: &AnonymousEvent) -> Request {
    let AnonymousEvent {
        anonymous_id,
        event,
    } = event;
    Request::from(Call {
        method: Method::POST,
        path: "/api/v1/events".to_owned(),
        body: Some(to_bytes(&EventBody::new(event, anonymous_id.as_deref()))),
        may_replay: event.id.is_some(),
    })
}

/// Deletes a person and blocks their identifiers.
///
/// # Errors
///
/// The id has the shape of another kind.
pub fn suppress(person: &Person) -> Result<Request, InvalidInput> {
    about(
        Method::POST,
        person,
        "/suppress",
        Some(Bytes::from_static(b"{}")),
        true,
    )
}

/// Deletes a person. A later operation about them may create them again.
///
/// # Errors
///
/// The id has the shape of another kind.
pub fn delete(person: &Person) -> Result<Request, InvalidInput> {
    about(Method::DELETE, person, "", None, true)
}

fn about(
    method: Method,
    person: &Person,
    action: &str,
    body: Option<Bytes>,
    may_replay: bool,
) -> Result<Request, InvalidInput> {
    let path = format!("/api/v1/customers/{}{action}", person.path_segment()?);
    Ok(Request::from(Call {
        method,
        path,
        body,
        may_replay,
    }))
}

/// Shows neither path nor body: both hold a person's data.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("may_replay", &self.may_replay)
            .finish_non_exhaustive()
    }
}

impl From<&AnonymousEvent> for Request {
    fn from(event: &AnonymousEvent) -> Self {
        anonymous_event(event)
    }
}

impl From<AnonymousEvent> for Request {
    fn from(event: AnonymousEvent) -> Self {
        anonymous_event(&event)
    }
}
