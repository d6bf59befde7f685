use std::fmt;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::reply::{Identifiers, lenient, text, timestamp};
use super::{ActivityType, AppRequest};
use crate::error::check_count;
use crate::{InvalidInput, Person, Timestamp};

/// The documented number of activities in a page.
const MAX_PAGE: usize = 100;

/// An entry of the activity log: an event, a change of a person, or a step of a message.
///
/// `Debug` shows its type and time: all else may be data of a person.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Activity {
    /// The id of the activity.
    #[serde(default, deserialize_with = "text")]
    pub id: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    pub activity_type: ActivityType,
    /// When it happened. It is not documented whether an event with a time of its own has that one.
    #[serde(default, deserialize_with = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// The person's own id, if they have one.
    #[serde(default, deserialize_with = "text")]
    pub customer_id: Option<String>,
    /// All identifiers of the person.
    #[serde(default, deserialize_with = "lenient")]
    pub customer_identifiers: Option<Identifiers>,
    /// The delivery, if it is about a message.
    #[serde(default, deserialize_with = "text")]
    pub delivery_id: Option<String>,
    /// The kind of recipient: `ios`, `android`, `email` or `phone`.
    #[serde(default, deserialize_with = "text")]
    pub delivery_type: Option<String>,
    /// The name of an event or a screen.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The URL of a page.
    #[serde(default, deserialize_with = "text")]
    pub url: Option<String>,
    /// More about it. The format depends on the type, and is not documented for failures.
    #[serde(default)]
    pub data: Value,
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity")
            .field("activity_type", &self.activity_type)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// A query of the activity log.
///
/// ```
/// use customerio::Person;
/// use customerio::app::{ActivityQuery, PersonActivity};
///
/// let query = ActivityQuery::of(&Person::id("u1")?)
///     .activity_type(PersonActivity::Event)
///     .name("purchase");
/// assert_eq!(
///     query.to_request()?.path(),
///     "/v1/customers/u1/activities?id_type=id&limit=100&type=event&name=purchase",
/// );
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` leaves out person and name.
#[derive(Clone)]
#[must_use]
pub struct ActivityQuery {
    person: Option<Person>,
    activity_type: Option<ActivityType>,
    name: Option<String>,
    deleted: Option<bool>,
    page_size: usize,
}

impl ActivityQuery {
    /// Selects all activities of the workspace.
    pub fn all() -> Self {
        Self {
            person: None,
            activity_type: None,
            name: None,
            deleted: None,
            page_size: MAX_PAGE,
        }
    }

    /// Selects the activities of a person.
    pub fn of(person: &Person) -> Self {
        Self {
            person: Some(person.clone()),
            ..Self::all()
        }
    }

    /// Selects the activities of one type.
    pub fn activity_type(self, activity_type: impl Into<ActivityType>) -> Self {
        Self {
            activity_type: Some(activity_type.into()),
            ..self
        }
    }

    /// Selects the events or screens with a name, together with the type `event` or `screen`.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// Sets whether activities of deleted people are included. By default they are not.
    pub fn deleted(self, deleted: bool) -> Self {
        Self {
            deleted: Some(deleted),
            ..self
        }
    }

    /// Sets the number of activities in a page: 100 by default, which is the most.
    pub fn page_size(self, page_size: usize) -> Self {
        Self { page_size, ..self }
    }

    /// Returns the request for the first page.
    ///
    /// # Errors
    ///
    /// The size of a page is over 100, or the path is too long: see [`AppRequest::query`].
    pub fn to_request(&self) -> Result<AppRequest, InvalidInput> {
        check_count("page size", self.page_size, MAX_PAGE)?;
        // Only the list of the workspace has a parameter for deleted people.
        let mut request = match (&self.person, self.deleted) {
            (Some(person), None) => AppRequest::of_person(Method::GET, person, "activities")?,
            _ => AppRequest::new(Method::GET, "/v1/activities")?,
        };
        request = request.query("limit", self.page_size)?;
        if let Some(activity_type) = &self.activity_type {
            request = request.query("type", activity_type)?;
        }
        if let Some(name) = &self.name {
            request = request.query("name", name)?;
        }
        if let Some(deleted) = self.deleted {
            request = request.query("deleted", deleted)?;
            if let Some(person) = &self.person {
                request = request.query("customer_id", person.app_id())?;
                request = request.query("id_type", person.key())?;
            }
        }
        Ok(request)
    }
}

impl fmt::Debug for ActivityQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityQuery")
            .field("activity_type", &self.activity_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_may_lack_every_member_but_its_type() {
        let read = |json| serde_json::from_str::<Activity>(json);
        let json = r#"{"id":"a","type":"failed_event","timestamp":1700000000,"customer_id":null,
            "customer_identifiers":{"id":"u1","email":null,"cio_id":"03"},"name":"paid","x":1}"#;
        let failed = read(json).unwrap();
        assert!(failed.activity_type.is_not_applied());
        assert_eq!(failed.customer_identifiers.unwrap().id.unwrap(), "u1");
        let bare =
            read(r#"{"type":"new","timestamp":null,"customer_identifiers":[],"id":7}"#).unwrap();
        assert_eq!(bare.id.as_deref(), Some("7"));
        assert!(bare.customer_identifiers.is_none() && bare.timestamp.is_none());
        assert!(read(r#"{"id":"a"}"#).is_err());
    }

    #[test]
    fn activities_of_deleted_people_are_in_the_list_of_the_workspace() {
        let person = Person::cio_id("03").unwrap();
        let path = |query: ActivityQuery| query.to_request().unwrap().path().to_owned();
        assert_eq!(
            path(ActivityQuery::of(&person)),
            "/v1/customers/cio_03/activities?id_type=cio_id&limit=100",
        );
        assert_eq!(
            path(ActivityQuery::of(&person).deleted(true).page_size(10)),
            "/v1/activities?limit=10&deleted=true&customer_id=cio_03&id_type=cio_id",
        );
        assert!(ActivityQuery::all().page_size(101).to_request().is_err());
    }
}
