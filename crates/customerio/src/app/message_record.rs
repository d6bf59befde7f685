use std::fmt;

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::reply::{Identifiers, flag, lenient, members, number, text, timestamp};
use super::{AppRequest, segment};
use crate::error::check_count;
use crate::{InvalidInput, Person, Timestamp};

/// The largest page of any list of messages.
const MAX_PAGE: usize = 1_000;

/// A message that was created for a person, with its metrics.
///
/// `Debug` shows its type and times: all else may be data of a person.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct MessageRecord {
    /// The id of the delivery, as in the reply to a message.
    pub id: String,
    /// The channel: `email`, `webhook`, `twilio`, `push`, `in_app`, `slack`, `whatsapp` or
    /// `live_notification`.
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub message_type: Option<String>,
    /// The person's own id, if they have one.
    #[serde(default, deserialize_with = "text")]
    pub customer_id: Option<String>,
    /// All identifiers of the person.
    #[serde(default, deserialize_with = "lenient")]
    pub customer_identifiers: Option<Identifiers>,
    /// The address, number or token.
    #[serde(default, deserialize_with = "text")]
    pub recipient: Option<String>,
    /// The subject.
    #[serde(default, deserialize_with = "text")]
    pub subject: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "timestamp")]
    pub created: Option<Timestamp>,
    /// The name of each metric, and its time in unix seconds. For names that
    /// begin with `human_` or `prefetch_` the value is a count.
    #[serde(default, deserialize_with = "members")]
    pub metrics: Map<String, Value>,
    /// Why it failed.
    #[serde(default, deserialize_with = "text")]
    pub failure_message: Option<String>,
    /// The automation that created it.
    #[serde(default, deserialize_with = "number")]
    pub campaign_id: Option<u64>,
    /// The one-time send that created it.
    #[serde(default, deserialize_with = "number")]
    pub newsletter_id: Option<u64>,
    /// The API-triggered broadcast that created it.
    #[serde(default, deserialize_with = "number")]
    pub broadcast_id: Option<u64>,
    /// The action that created it.
    #[serde(default, deserialize_with = "number")]
    pub action_id: Option<u64>,
    /// The variant of the content.
    #[serde(default, deserialize_with = "number")]
    pub content_id: Option<u64>,
    /// Whether the person was deleted and the message forgotten.
    #[serde(default, deserialize_with = "flag")]
    pub forgotten: bool,
}

impl MessageRecord {
    /// Returns when a metric happened, such as `delivered` or `bounced`.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<Timestamp> {
        let seconds = self.metrics.get(name)?.as_i64()?;
        Timestamp::new(seconds).ok()
    }

    /// Returns the request for the message with a delivery id.
    ///
    /// # Errors
    ///
    /// As for [`segment`](super::segment).
    pub fn request(delivery_id: &str) -> Result<AppRequest, InvalidInput> {
        AppRequest::new(
            Method::GET,
            &format!("/v1/messages/{}", segment(delivery_id)?),
        )
    }
}

impl fmt::Debug for MessageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRecord")
            .field("message_type", &self.message_type)
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}

/// A query for messages: of the workspace, or of a person.
///
/// ```
/// use customerio::app::MessageQuery;
/// let query = MessageQuery::all().message_type("email").metric("bounced").transactional(44);
/// assert_eq!(
///     query.to_request()?.path(),
///     "/v1/messages?type=email&metric=bounced&transactional_id=44",
/// );
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` leaves out the person.
#[derive(Clone)]
#[must_use]
pub struct MessageQuery {
    person: Option<Person>,
    page_size: Option<usize>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// Only the list of the workspace has these parameters.
    of_workspace: Vec<(&'static str, String)>,
}

impl MessageQuery {
    /// Selects the messages of the workspace.
    pub fn all() -> Self {
        Self {
            person: None,
            page_size: None,
            start: None,
            end: None,
            of_workspace: Vec::new(),
        }
    }

    /// Selects the messages of a person. Only times and the size of a page narrow them down.
    pub fn of(person: &Person) -> Self {
        Self {
            person: Some(person.clone()),
            ..Self::all()
        }
    }

    /// Selects the messages since a time.
    pub fn since(self, start: Timestamp) -> Self {
        Self {
            start: Some(start),
            ..self
        }
    }

    /// Selects the messages until a time.
    pub fn until(self, end: Timestamp) -> Self {
        Self {
            end: Some(end),
            ..self
        }
    }

    /// Sets the number of messages in a page, at most 1,000. By default the API decides.
    pub fn page_size(self, page_size: usize) -> Self {
        Self {
            page_size: Some(page_size),
            ..self
        }
    }

    /// Selects the messages of one channel: `email`, `webhook`, `twilio`, `push`, `in_app`,
    /// `slack`, `whatsapp` or `live_notification`.
    pub fn message_type(self, message_type: &str) -> Self {
        self.with("type", message_type)
    }

    /// Selects the messages that have a metric, such as `delivered`, `bounced` or `failed`.
    pub fn metric(self, metric: &str) -> Self {
        self.with("metric", metric)
    }

    /// Selects the messages of an automation.
    pub fn campaign(self, id: u64) -> Self {
        self.with("campaign_id", id)
    }

    /// Selects the messages of a one-time send.
    pub fn newsletter(self, id: u64) -> Self {
        self.with("newsletter_id", id)
    }

    /// Selects the messages of an action.
    pub fn action(self, id: u64) -> Self {
        self.with("action_id", id)
    }

    /// Selects the messages of a transactional template.
    pub fn transactional(self, id: u64) -> Self {
        self.with("transactional_id", id)
    }

    /// Selects the messages of a trigger of a broadcast.
    pub fn trigger(self, id: u64) -> Self {
        self.with("trigger_id", id)
    }

    /// Sets whether drafts are selected in place of messages that were sent.
    pub fn drafts(self, drafts: bool) -> Self {
        self.with("drafts", drafts)
    }

    fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.of_workspace.retain(|(known, _)| *known != name);
        self.of_workspace.push((name, value.to_string()));
        self
    }

    /// Returns the request for the first page.
    ///
    /// # Errors
    ///
    /// The size of a page is over 1,000, or the messages of a person are narrowed down by something
    /// else than times.
    pub fn to_request(&self) -> Result<AppRequest, InvalidInput> {
        check_count("page size", self.page_size.unwrap_or(0), MAX_PAGE)?;
        let mut request = match &self.person {
            None => AppRequest::new(Method::GET, "/v1/messages")?,
            Some(_) if !self.of_workspace.is_empty() => {
                return Err(InvalidInput::malformed(
                    "messages of a person",
                    "are selected by times only; leave out the other settings, or use \
                     `MessageQuery::all`",
                ));
            }
            Some(person) => AppRequest::of_person(Method::GET, person, "messages")?,
        };
        if let Some(page_size) = self.page_size {
            request = request.query("limit", page_size)?;
        }
        for (name, value) in &self.of_workspace {
            request = request.query(name, value)?;
        }
        for (name, time) in [("start_ts", self.start), ("end_ts", self.end)] {
            if let Some(time) = time {
                request = request.query(name, time.seconds())?;
            }
        }
        Ok(request)
    }
}

impl fmt::Debug for MessageQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageQuery")
            .field("of_workspace", &self.of_workspace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_messages_of_a_person_are_selected_by_times_only() {
        let person = Person::id("u1").unwrap();
        let time = |seconds| Timestamp::new(seconds).unwrap();
        let query = MessageQuery::of(&person)
            .since(time(1))
            .until(time(2))
            .page_size(10);
        assert_eq!(
            query.to_request().unwrap().path(),
            "/v1/customers/u1/messages?id_type=id&limit=10&start_ts=1&end_ts=2",
        );
        assert!(query.metric("sent").to_request().is_err());
        assert!(MessageQuery::all().page_size(1_001).to_request().is_err());
        let twice = MessageQuery::all().metric("sent").metric("opened");
        assert_eq!(
            twice.to_request().unwrap().path(),
            "/v1/messages?metric=opened"
        );
    }

    #[test]
    fn a_metric_has_a_time_unless_it_is_a_count() {
        let record: MessageRecord = serde_json::from_value(json!({
            "id": "dgO=", "metrics": {"sent": 1_700_000_000, "human_opened": 2}, "campaign_id": null,
            "newsletter_id": "7", "tracked_responses": {}, "forgotten": null,
        }))
        .unwrap();
        assert_eq!(record.metric("sent").unwrap().seconds(), 1_700_000_000);
        assert!(record.metric("bounced").is_none() && !record.forgotten);
        assert_eq!((record.campaign_id, record.newsletter_id), (None, Some(7)));
        assert!(!format!("{record:?}").contains("dgO"));
    }
}
