//! Exports of people and of deliveries, in the App API.

use serde_json::{Map, Value};

use super::check;
use super::filter::Filter;
use super::rejection::Rejection;

/// A valid export of deliveries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeliveriesExport {
    /// The member that names the source, and its value.
    pub(crate) source: (&'static str, u64),
    /// In Unix seconds.
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) metric: Option<String>,
    /// Whether drafts are exported too.
    pub(crate) drafts: bool,
    /// The attributes of people that become columns.
    pub(crate) attributes: Vec<String>,
}

/// `POST /v1/exports/customers`.
pub(crate) fn people(body: &[u8]) -> Result<Filter, Rejection> {
    let body = check::object(body)?;
    let filters = body.get("filters").unwrap_or(&Value::Null);
    Filter::read("filters", filters)
}

/// `POST /v1/exports/deliveries`.
pub(crate) fn deliveries(body: &[u8]) -> Result<DeliveriesExport, Rejection> {
    let body = check::object(body)?;
    let metric = match body.get("metric") {
        None | Some(Value::Null) => None,
        Some(_) => Some(check::one_of(&body, "metric", &METRICS)?),
    };
    check::optional_integer(&body, "template_id")?;
    Ok(DeliveriesExport {
        source: source(&body)?,
        start: check::optional_integer(&body, "start")?,
        end: check::optional_integer(&body, "end")?,
        metric,
        drafts: check::optional_boolean(&body, "drafts")?.unwrap_or(false),
        attributes: attributes(&body)?,
    })
}

/// Returns the only source of an export.
fn source(body: &Map<String, Value>) -> Result<(&'static str, u64), Rejection> {
    let named = |name: &&&str| body.get(**name).is_some_and(|id| !id.is_null());
    let mut named = SOURCES.iter().filter(named);
    let (Some(name), None) = (named.next(), named.next()) else {
        let message = format!("exactly one of {} must be present", SOURCES.join(", "));
        return Err(Rejection::required("body", message));
    };
    match body[*name].as_u64() {
        Some(id) => Ok((name, id)),
        None => Err(Rejection::invalid(
            *name,
            format!("{name} must be an integer"),
        )),
    }
}

fn attributes(body: &Map<String, Value>) -> Result<Vec<String>, Rejection> {
    let invalid = || Rejection::invalid("attributes", "attributes must be an array of strings");
    match body.get("attributes") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let name = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(invalid);
            names.iter().map(name).collect()
        }
        Some(_) => Err(invalid()),
    }
}

/// The sources of deliveries.
const SOURCES: [&str; 4] = [
    "newsletter_id",
    "campaign_id",
    "transactional_message_id",
    "action_id",
];
/// The metrics by which deliveries can be exported.
const METRICS: [&str; 13] = [
    "created",
    "attempted",
    "sent",
    "delivered",
    "opened",
    "clicked",
    "converted",
    "bounced",
    "spammed",
    "unsubscribed",
    "dropped",
    "failed",
    "undeliverable",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_export_of_deliveries_has_exactly_one_source() {
        let check = |body: Value, expected: Option<&str>| {
            let field = deliveries(body.to_string().as_bytes()).err();
            let field = field.map(|rejection| rejection.field);
            assert_eq!(field.as_deref(), expected, "{body}");
        };
        check(json!({"transactional_message_id": 3}), None);
        check(json!({"newsletter_id": 1, "campaign_id": null}), None);
        check(
            json!({"newsletter_id": 1, "start": 1, "end": 2, "attributes": ["a"],
            "metric": "delivered", "drafts": false}),
            None,
        );
        check(json!({}), Some("body"));
        check(json!({"newsletter_id": 1, "campaign_id": 2}), Some("body"));
        check(json!({"action_id": "x"}), Some("action_id"));
        check(json!({"action_id": 1, "metric": "seen"}), Some("metric"));
        check(
            json!({"action_id": 1, "attributes": [1]}),
            Some("attributes"),
        );
    }
}
