use bytes::Bytes;
use serde::Serialize;

use super::V1Request;
use super::relationships::Relationships;
use crate::device::{DeviceBody, check_token};
use crate::event::EventBody;
use crate::json::to_bytes;
use crate::person::{check_segment, encode};
use crate::{AnonymousEvent, Attributes, Device, Event, Identify, InvalidInput, Person, Request};

/// The route of a person.
pub(super) const PERSON: &str = "/api/v1/customers/{id}";

const EVENTS: &str = "/api/v1/events";
const MERGE: &str = "/api/v1/merge_customers";

/// The body of a request whose path says everything.
const EMPTY_OBJECT: Bytes = Bytes::from_static(b"{}");

/// Returns the path of a person, with `rest` behind it.
pub(super) fn path(person: &Person, rest: &str) -> Result<String, InvalidInput> {
    Ok(format!(
        "/api/v1/customers/{}{rest}",
        person.path_segment()?
    ))
}

/// Creates a person or updates their attributes.
///
/// # Errors
///
/// The id looks like another kind, there are more than 300 attributes, or a value takes more than
/// 1,000 bytes.
pub fn identify(person: &Person, attributes: &Attributes) -> Result<Request, InvalidInput> {
    attributes.check_person()?;
    Ok(V1Request::put(PERSON, path(person, "")?, attributes.to_json()).into())
}

/// Creates or updates a person, with the settings of an [`Identify`]. Version 1 sends its time as
/// the attribute `_timestamp`.
///
/// # Errors
///
/// As for [`identify`](self::identify()).
pub fn identify_with(identify: &Identify) -> Result<Request, InvalidInput> {
    identify.attributes.check_person()?;
    let mut body = identify.attributes.clone();
    if let Some(moment) = identify.timestamp {
        body.set("_timestamp", &moment.seconds());
    }
    if !identify.relationships.is_empty() {
        let added = Relationships::added(&identify.relationships);
        body.set_json("cio_relationships", |json| added.write(json));
    }
    Ok(V1Request::put(PERSON, path(&identify.person, "")?, body.to_json()).into())
}

/// Reports an event of a person, or a page or screen that they saw.
///
/// Without an id, the event is not replayed after a failure that leaves open whether it arrived.
///
/// # Errors
///
/// The id looks like another kind, or the event's data takes more than 100,000 bytes.
pub fn event(person: &Person, event: &Event) -> Result<Request, InvalidInput> {
    event.check_v1()?;
    let body = EventBody::new(event, None).to_json();
    let request = V1Request::post(
        "/api/v1/customers/{id}/events",
        path(person, "/events")?,
        body,
    );
    Ok(replayed_by_id(request, event))
}

/// Reports an event of an anonymous visitor.
#[must_use]
pub fn anonymous_event(event: &AnonymousEvent) -> Request {
    let AnonymousEvent {
        anonymous_id,
        event,
    } = event;
    let body = EventBody::new(event, anonymous_id.as_deref()).to_json();
    replayed_by_id(V1Request::post(EVENTS, EVENTS.to_owned(), body), event)
}

fn replayed_by_id(request: V1Request, event: &Event) -> Request {
    match event.id {
        Some(_) => request.into(),
        None => request.not_replayed().into(),
    }
}

/// Deletes a person and blocks their identifiers.
///
/// # Errors
///
/// The id looks like another kind.
pub fn suppress(person: &Person) -> Result<Request, InvalidInput> {
    Ok(V1Request::post(
        "/api/v1/customers/{id}/suppress",
        path(person, "/suppress")?,
        EMPTY_OBJECT,
    )
    .into())
}

/// Unblocks a person's identifiers. The deleted data is not restored.
///
/// # Errors
///
/// The id looks like another kind.
pub fn unsuppress(person: &Person) -> Result<Request, InvalidInput> {
    Ok(V1Request::post(
        "/api/v1/customers/{id}/unsuppress",
        path(person, "/unsuppress")?,
        EMPTY_OBJECT,
    )
    .into())
}

/// Deletes a person. A later operation on them may create them again.
///
/// # Errors
///
/// The id looks like another kind.
pub fn delete(person: &Person) -> Result<Request, InvalidInput> {
    Ok(V1Request::delete(PERSON, path(person, "")?).into())
}

/// Adds a device to a person or updates it.
///
/// # Errors
///
/// The id looks like another kind.
pub fn add_device(person: &Person, device: &Device) -> Result<Request, InvalidInput> {
    let body = DevicePut {
        device: device.named_id(),
    };
    Ok(V1Request::put(
        "/api/v1/customers/{id}/devices",
        path(person, "/devices")?,
        to_bytes(&body),
    )
    .into())
}

#[derive(Serialize)]
struct DevicePut<'a> {
    device: DeviceBody<'a>,
}

/// Removes a device from a person.
///
/// # Errors
///
/// The id looks like another kind, or the token is empty, `.` or `..`.
pub fn delete_device(person: &Person, token: &str) -> Result<Request, InvalidInput> {
    check_token(token)?;
    check_segment("device token", token)?;
    let device = format!("/devices/{}", encode(token));
    Ok(V1Request::delete(
        "/api/v1/customers/{id}/devices/{device_id}",
        path(person, &device)?,
    )
    .into())
}

/// Merges two people, which cannot be undone; see [`Operation::merge`](crate::Operation::merge).
///
/// # Errors
///
/// A person is identified by a phone number, or both people are the same.
pub fn merge(primary: &Person, secondary: &Person) -> Result<Request, InvalidInput> {
    primary.check_merge(secondary)?;
    let body = to_bytes(&Merge { primary, secondary });
    let request = V1Request::post(MERGE, MERGE.to_owned(), body);
    Ok(request.not_replayed().into())
}

#[derive(Serialize)]
struct Merge<'a> {
    primary: &'a Person,
    secondary: &'a Person,
}
