use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reply::{flag, number, text, timestamp};
use super::{AppRequest, Filter};
use crate::{InvalidInput, Timestamp};

/// The status of an export.
///
/// `Debug` leaves out who asked for it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ExportStatus {
    /// The number of the export.
    #[serde(default, deserialize_with = "number")]
    pub id: Option<u64>,
    /// Its contents: `customers` or `deliveries`.
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub export_type: Option<String>,
    /// How far it is: `pending`, `done` or `failed`.
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// Whether it failed.
    #[serde(default, deserialize_with = "flag")]
    pub failed: bool,
    /// How many rows it has; 0 until it is done.
    #[serde(default, deserialize_with = "number")]
    pub total: Option<u64>,
    /// The description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// The email address of the user who asked for it.
    #[serde(default, deserialize_with = "text")]
    pub user_email: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "timestamp")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, deserialize_with = "timestamp")]
    pub updated_at: Option<Timestamp>,
}

impl ExportStatus {
    /// Returns whether the file can be downloaded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.status.as_deref() == Some("done") && !self.failed
    }

    /// Returns whether it failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed || self.status.as_deref() == Some("failed")
    }
}

impl fmt::Debug for ExportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportStatus")
            .field("id", &self.id)
            .field("export_type", &self.export_type)
            .field("status", &self.status)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// An export: of people, or of the deliveries of one source.
///
/// ```
/// use customerio::app::{Export, Filter};
/// let people = Export::people(&Filter::segment(3));
/// assert_eq!(people.to_request()?.path(), "/v1/exports/customers");
/// let deliveries = Export::deliveries_of_newsletter(1).metric("delivered");
/// assert_eq!(deliveries.to_request()?.path(), "/v1/exports/deliveries");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` leaves out a filter.
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Export {
    kind: Kind,
    /// Whether an export of people has a setting of deliveries.
    is_misplaced: bool,
}

#[derive(Clone, PartialEq)]
enum Kind {
    People(Filter),
    Deliveries(Deliveries),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Deliveries {
    #[serde(skip_serializing_if = "Option::is_none")]
    newsletter_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactional_message_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drafts: Option<bool>,
}

impl Export {
    /// Exports the people who meet a condition.
    pub fn people(filter: &Filter) -> Self {
        Self::of(Kind::People(filter.clone()))
    }

    /// Exports the deliveries of a one-time send.
    pub fn deliveries_of_newsletter(id: u64) -> Self {
        Self::deliveries(Deliveries {
            newsletter_id: Some(id),
            ..Deliveries::default()
        })
    }

    /// Exports the deliveries of an automation.
    pub fn deliveries_of_campaign(id: u64) -> Self {
        Self::deliveries(Deliveries {
            campaign_id: Some(id),
            ..Deliveries::default()
        })
    }

    /// Exports the deliveries of a transactional template.
    pub fn deliveries_of_transactional(id: u64) -> Self {
        Self::deliveries(Deliveries {
            transactional_message_id: Some(id),
            ..Deliveries::default()
        })
    }

    /// Exports the deliveries of an action.
    pub fn deliveries_of_action(id: u64) -> Self {
        Self::deliveries(Deliveries {
            action_id: Some(id),
            ..Deliveries::default()
        })
    }

    fn deliveries(deliveries: Deliveries) -> Self {
        Self::of(Kind::Deliveries(deliveries))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            is_misplaced: false,
        }
    }

    /// Selects the deliveries since a time.
    pub fn since(self, start: Timestamp) -> Self {
        self.change(|deliveries| deliveries.start = Some(start))
    }

    /// Selects the deliveries until a time.
    pub fn until(self, end: Timestamp) -> Self {
        self.change(|deliveries| deliveries.end = Some(end))
    }

    /// Adds an attribute of the person as a column to the deliveries.
    pub fn attribute(self, name: impl Into<String>) -> Self {
        self.change(|deliveries| deliveries.attributes.push(name.into()))
    }

    /// Selects the deliveries that have a metric, such as `delivered` or `bounced`.
    pub fn metric(self, metric: impl Into<String>) -> Self {
        self.change(|deliveries| deliveries.metric = Some(metric.into()))
    }

    /// Sets whether drafts are exported in place of deliveries that were sent.
    pub fn drafts(self, drafts: bool) -> Self {
        self.change(|deliveries| deliveries.drafts = Some(drafts))
    }

    fn change(mut self, change: impl FnOnce(&mut Deliveries)) -> Self {
        match &mut self.kind {
            Kind::Deliveries(deliveries) => change(deliveries),
            Kind::People(_) => self.is_misplaced = true,
        }
        self
    }

    /// Returns the request. It is not sent again after a failure that leaves open whether it
    /// arrived: each request is an export of its own.
    ///
    /// # Errors
    ///
    /// An export of people has a setting of deliveries: only a filter narrows it down.
    pub fn to_request(&self) -> Result<AppRequest, InvalidInput> {
        if self.is_misplaced {
            return Err(InvalidInput::malformed(
                "export of people",
                "has a setting that only deliveries have; narrow it down by its filter",
            ));
        }
        let (path, body): (_, Value) = match &self.kind {
            Kind::People(filter) => ("/v1/exports/customers", json!({ "filters": filter })),
            Kind::Deliveries(deliveries) => ("/v1/exports/deliveries", json!(deliveries)),
        };
        AppRequest::new(Method::POST, path)?.json(&body)
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::People(_) => f.write_str("Export(people)"),
            Kind::Deliveries(deliveries) => f.debug_tuple("Export").field(deliveries).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_names_exactly_one_source() {
        let check = |export: Export, expected: Value| {
            let request = export.to_request().unwrap();
            let body: Value = serde_json::from_slice(request.content().unwrap()).unwrap();
            assert_eq!(body, expected);
            assert!(!request.may_replay());
        };
        check(
            Export::deliveries_of_transactional(3)
                .attribute("plan")
                .drafts(true),
            json!({"transactional_message_id": 3, "attributes": ["plan"], "drafts": true}),
        );
        check(Export::deliveries_of_campaign(5), json!({"campaign_id": 5}));
        check(Export::deliveries_of_action(6), json!({"action_id": 6}));
        let people = Export::people(&Filter::segment(3));
        check(people.clone(), json!({"filters": {"segment": {"id": 3}}}));
        assert!(people.drafts(true).to_request().is_err());
    }

    #[test]
    fn a_status_may_lack_every_member() {
        let read = |json| serde_json::from_value::<ExportStatus>(json).unwrap();
        let done = read(json!({"id": "7,", "status": "done", "failed": false, "total": 3}));
        assert!(done.is_done() && !done.has_failed() && done.id.is_none());
        assert_eq!(read(json!({"id": "7"})).id, Some(7));
        assert!(read(json!({"status": "failed"})).has_failed());
        assert!(!read(json!({})).is_done());
    }
}
