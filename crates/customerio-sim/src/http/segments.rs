//! Manual segments, in the App API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::path::Path;
use super::query::{Invalid, Query};
use super::reply;
use crate::api::segment;
use crate::shared::Shared;

type Handle = State<Arc<Shared>>;

/// `GET /v1/segments`.
pub(super) async fn all(State(shared): Handle) -> Response {
    let segments = shared.store(|store| store.segments());
    reply::json(StatusCode::OK, &json!({"segments": segments}))
}

/// `POST /v1/segments`.
pub(super) async fn create(State(shared): Handle, body: Bytes) -> Result<Response, Invalid> {
    let segment = segment::segment(&body)?;
    let now = shared.clock.unix_seconds();
    let created = shared.store(|store| {
        let id = store.create_segment(segment, now);
        store.shown_segment(id)
    });
    Ok(reply::member("segment", created))
}

/// `GET /v1/segments/{id}`.
pub(super) async fn one(State(shared): Handle, Path(id): Path<u64>) -> Response {
    reply::member("segment", shared.store(|store| store.shown_segment(id)))
}

/// `DELETE /v1/segments/{id}`.
pub(super) async fn delete(State(shared): Handle, Path(id): Path<u64>) -> Response {
    match shared.store(|store| store.delete_segment(id)) {
        true => reply::no_content(),
        false => reply::app_not_found(),
    }
}

/// `GET /v1/segments/{id}/customer_count`.
pub(super) async fn size(State(shared): Handle, Path(id): Path<u64>) -> Response {
    match shared.store(|store| store.segment_size(id)) {
        Some(count) => reply::json(StatusCode::OK, &json!({"segment_id": id, "count": count})),
        None => reply::app_not_found(),
    }
}

/// `GET /v1/segments/{id}/membership`.
pub(super) async fn members(
    State(shared): Handle,
    Path(id): Path<u64>,
    query: Query,
) -> Result<Response, Invalid> {
    let limit = query.limit(1_000, 30_000)?;
    let members = shared.store(|store| store.segment_members(id, query.get("start"), limit));
    Ok(match members {
        Some((people, next)) => {
            let mut body = people_and_ids(&people, next);
            body["segment_id"] = id.into();
            reply::json(StatusCode::OK, &body)
        }
        None => reply::app_not_found(),
    })
}

/// `GET /v1/segments/{id}/used_by`. Campaigns and newsletters are not known here.
pub(super) async fn used_by(State(shared): Handle, Path(id): Path<u64>) -> Response {
    let nothing = json!({"campaigns": [], "sent_newsletters": [], "draft_newsletters": []});
    match shared.store(|store| store.segment_exists(id)) {
        true => reply::json(
            StatusCode::OK,
            &json!({"segment_id": id, "used_by": nothing}),
        ),
        false => reply::app_not_found(),
    }
}

/// Returns a page of people. The ids have an empty text for a person without an id, as the API
/// sends it.
pub(super) fn people_and_ids(people: &[Value], next: Option<String>) -> Value {
    let ids = people
        .iter()
        .map(|person| person["id"].as_str().unwrap_or_default());
    let ids: Vec<_> = ids.collect();
    json!({"ids": ids, "identifiers": people, "next": next.unwrap_or_default()})
}
