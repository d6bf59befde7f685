//! Exports of people and of deliveries, in the App API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::path::Path;
use super::query::Invalid;
use super::reply;
use crate::api::export;
use crate::shared::Shared;

type Handle = State<Arc<Shared>>;

/// `POST /v1/exports/customers`.
pub(super) async fn people(State(shared): Handle, body: Bytes) -> Result<Response, Invalid> {
    let filter = export::people(&body)?;
    let date = shared.clock.unix_seconds();
    let now = shared.clock.now();
    Ok(shown(shared.store(|store| {
        let id = store.export_people(&filter, now, date);
        store.export(id, now)
    })))
}

/// `POST /v1/exports/deliveries`.
pub(super) async fn deliveries(State(shared): Handle, body: Bytes) -> Result<Response, Invalid> {
    let export = export::deliveries(&body)?;
    let date = shared.clock.unix_seconds();
    let now = shared.clock.now();
    Ok(shown(shared.store(|store| {
        let id = store.export_deliveries(&export, now, date);
        store.export(id, now)
    })))
}

/// `GET /v1/exports`. Without exports the list is null, as the API was seen to send it.
pub(super) async fn all(State(shared): Handle) -> Response {
    let now = shared.clock.now();
    let exports = shared.store(|store| store.exports(now));
    let exports = (!exports.is_empty()).then_some(exports);
    reply::json(StatusCode::OK, &json!({"exports": exports}))
}

/// `GET /v1/exports/{id}`.
pub(super) async fn one(State(shared): Handle, Path(id): Path<u64>) -> Response {
    let now = shared.clock.now();
    shown(shared.store(|store| store.export(id, now)))
}

/// `GET /v1/exports/{id}/download`. The link leads to the record of the export.
pub(super) async fn link(
    State(shared): Handle,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let now = shared.clock.now();
    if !shared.store(|store| store.download_export(id, now)) {
        return reply::app_not_found();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("localhost");
    let url = format!("http://{host}/_sim/exports/{id}");
    reply::json(StatusCode::OK, &json!({"url": url}))
}

fn shown(export: Option<Value>) -> Response {
    reply::member("export", export)
}
