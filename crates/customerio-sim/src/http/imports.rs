use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::path::Path;
use super::query::Invalid;
use super::reply;
use crate::api::import;
use crate::shared::Shared;

/// `POST /v1/imports`.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Invalid> {
    let id = shared.begin_import(import::import(&body)?);
    Ok(shown(shared.import(id)))
}

/// `GET /v1/imports/{id}`.
pub(super) async fn status(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    shown(shared.import(id))
}

fn shown(import: Option<Value>) -> Response {
    reply::member("import", import)
}
