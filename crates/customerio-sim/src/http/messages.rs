//! Messages that were sent, in the App API.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::path::Path;
use super::query::{Invalid, Query};
use super::reply;
use crate::records::MessageFilter;
use crate::shared::Shared;

type Handle = State<Arc<Shared>>;

type Reply = Result<Response, Invalid>;

/// `GET /v1/messages`.
pub(super) async fn all(State(shared): Handle, query: Query) -> Reply {
    // No transactional message belongs to one of these.
    let others = [
        "campaign_id",
        "newsletter_id",
        "action_id",
        "trigger_id",
        "content_id",
    ];
    let filter = MessageFilter {
        kind: query.get("type").map(str::to_owned),
        metric: query.get("metric").map(str::to_owned),
        draft: Some(query.parsed("drafts")?.unwrap_or(false)),
        template: query.parsed("transactional_id")?,
        created: created(&query)?,
        has_other_parent: others.iter().any(|name| query.get(name).is_some()),
        ..MessageFilter::all()
    };
    found(&shared, &query, filter)
}

/// `GET /v1/customers/{id}/messages`.
pub(super) async fn of_person(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let filter = MessageFilter {
        person: Some(query.person(&person)?),
        created: created(&query)?,
        ..MessageFilter::all()
    };
    found(&shared, &query, filter)
}

/// `GET /v1/transactional/{id}/messages`.
pub(super) async fn of_template(
    State(shared): Handle,
    Path(template): Path<u64>,
    query: Query,
) -> Reply {
    let filter = MessageFilter {
        template: Some(template),
        metric: query.get("metric").map(str::to_owned),
        created: created(&query)?,
        ..MessageFilter::all()
    };
    found(&shared, &query, filter)
}

/// `GET /v1/messages/{id}`.
pub(super) async fn one(State(shared): Handle, Path(id): Path<String>) -> Response {
    let now = shared.clock.unix_seconds();
    reply::member("message", shared.store(|store| store.app_message(&id, now)))
}

/// Returns the times between which the messages were created.
fn created(query: &Query) -> Result<RangeInclusive<i64>, Invalid> {
    let start = query.parsed("start_ts")?.unwrap_or(i64::MIN);
    Ok(start..=query.parsed("end_ts")?.unwrap_or(i64::MAX))
}

fn found(shared: &Shared, query: &Query, filter: MessageFilter) -> Reply {
    let (start, limit) = (query.parsed("start")?, query.limit(50, 1_000)?);
    let now = shared.clock.unix_seconds();
    let found = shared.store(|store| store.selected_messages(filter, start, limit, now));
    Ok(match found {
        Some((messages, next)) => {
            let next = next.map_or_else(String::new, |next| next.to_string());
            reply::json(StatusCode::OK, &json!({"messages": messages, "next": next}))
        }
        None => reply::app_not_found(),
    })
}
