//! Live notifications, in the App API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::path::Path;
use super::query::Invalid;
use super::reply;
use crate::api::{live_notification, ulid};
use crate::records::{NotChanged, NotificationChange};
use crate::shared::Shared;

type Handle = State<Arc<Shared>>;

type Reply = Result<Response, Invalid>;

/// `POST /v1/live_notifications/start`.
pub(super) async fn start(State(shared): Handle, body: Bytes) -> Reply {
    let now = shared.clock.unix_seconds();
    let notification = live_notification::start(&body, now)?;
    let id = shared.store(|store| store.start_notification(notification, now));
    Ok(reply::json(StatusCode::OK, &json!({"instance_id": id})))
}

/// `POST /v1/live_notifications/update`.
pub(super) async fn update(State(shared): Handle, body: Bytes) -> Reply {
    let id = live_notification::update(&body)?;
    change(&shared, &id, NotificationChange::Update)
}

/// `POST /v1/live_notifications/end`.
pub(super) async fn end(State(shared): Handle, body: Bytes) -> Reply {
    let id = live_notification::end(&body)?;
    change(&shared, &id, NotificationChange::End)
}

/// `GET /v1/live_notifications/{id}`.
pub(super) async fn one(State(shared): Handle, Path(id): Path<String>) -> Reply {
    let id = instance(&id)?;
    let now = shared.clock.unix_seconds();
    Ok(match shared.store(|store| store.notification(&id, now)) {
        Some(notification) => reply::json(StatusCode::OK, &notification),
        None => reply::app_not_found(),
    })
}

fn change(shared: &Shared, id: &str, change: NotificationChange) -> Reply {
    let id = instance(id)?;
    let now = shared.clock.unix_seconds();
    match shared.store(|store| store.change_notification(&id, change, now)) {
        Ok(()) => Ok(reply::json(StatusCode::OK, &json!({"instance_id": id}))),
        Err(NotChanged::Unknown) => Ok(reply::app_not_found()),
        Err(NotChanged::NotActive) => Err(Invalid::new("the live notification is not active")),
    }
}

fn instance(id: &str) -> Result<String, Invalid> {
    ulid(id).ok_or_else(|| Invalid::new("instance_id must be a ULID"))
}
