use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde_json::json;

use super::front::front;
use super::{inspect, reply};
use crate::api::{Refusal, v1, v2};
use crate::world::World;

/// The API behind its front, and beside it the desk where the books are shown.
pub(crate) fn router(world: &Arc<World>) -> Router {
    let front = from_fn_with_state(Arc::clone(world), front);
    let api = Router::new()
        .nest("/api/v1", v1_routes())
        .nest("/api/v2", v2_routes())
        .fallback(not_found)
        .layer(front);
    api.nest("/_sim", inspect::routes())
        .with_state(Arc::clone(world))
}

type Shared = State<Arc<World>>;

fn v1_routes() -> Router<Arc<World>> {
    Router::new()
        .route("/accounts/region", get(region))
        .route("/customers/{person}", put(identify).delete(delete_person))
        .route("/customers/{person}/suppress", post(suppress))
        .route("/customers/{person}/unsuppress", post(unsuppress))
        .route("/customers/{person}/events", post(event))
        .route("/customers/{person}/devices", put(add_device))
        .route("/customers/{person}/devices/{token}", delete(delete_device))
        .route("/events", post(anonymous_event))
        .route("/merge_customers", post(merge))
}

fn v2_routes() -> Router<Arc<World>> {
    Router::new()
        .route("/entity", post(entity))
        .route("/batch", post(batch))
}

async fn not_found() -> Response {
    reply::not_found()
}

/// Names the simulator's own host, so that a client that follows stays here.
async fn region(headers: HeaderMap) -> Response {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    reply::json(
        StatusCode::OK,
        &json!({"url": host, "region": "us", "environment_id": 1}),
    )
}

async fn identify(State(world): Shared, Path(person): Path<String>, body: Bytes) -> Response {
    one_message(&world.take(v1::identify(&person, &body)))
}

async fn delete_person(State(world): Shared, Path(person): Path<String>) -> Response {
    one_message(&world.take(v1::delete(&person)))
}

async fn suppress(State(world): Shared, Path(person): Path<String>) -> Response {
    one_message(&world.take(v1::suppress(&person)))
}

async fn unsuppress(State(world): Shared, Path(person): Path<String>) -> Response {
    one_message(&world.take(v1::unsuppress(&person)))
}

async fn add_device(State(world): Shared, Path(person): Path<String>, body: Bytes) -> Response {
    one_message(&world.take(v1::add_device(&person, &body)))
}

async fn delete_device(
    State(world): Shared,
    Path((person, token)): Path<(String, String)>,
) -> Response {
    one_message(&world.take(v1::delete_device(&person, &token)))
}

async fn merge(State(world): Shared, body: Bytes) -> Response {
    one_message(&world.take(v1::merge(&body)))
}

async fn event(State(world): Shared, Path(person): Path<String>, body: Bytes) -> Response {
    messages(&world.take(v1::event(&person, &body)))
}

async fn anonymous_event(State(world): Shared, body: Bytes) -> Response {
    messages(&world.take(v1::anonymous_event(&body)))
}

async fn entity(State(world): Shared, body: Bytes) -> Response {
    match world.take(v2::entity(&body)) {
        Ok(()) => reply::done(),
        Err(refusal) if body.len() > v2::MAX_OPERATION_BYTES => {
            reply::errors(StatusCode::PAYLOAD_TOO_LARGE, &refusal)
        }
        Err(refusal) => reply::errors(StatusCode::BAD_REQUEST, &refusal),
    }
}

async fn batch(State(world): Shared, body: Bytes) -> Response {
    if body.len() > v2::MAX_BATCH_BYTES {
        return reply::errors(StatusCode::PAYLOAD_TOO_LARGE, &v2::batch_too_large());
    }
    match v2::batch(&body).map(|operations| world.take_batch(operations)) {
        Ok(refusals) if refusals.is_empty() => reply::done(),
        Ok(refusals) => reply::item_errors(&refusals),
        Err(refusal) => reply::errors(StatusCode::BAD_REQUEST, &refusal),
    }
}

fn one_message(taken: &Result<(), Refusal>) -> Response {
    taken
        .as_ref()
        .err()
        .map_or_else(reply::done, reply::meta_error)
}

fn messages(taken: &Result<(), Refusal>) -> Response {
    taken
        .as_ref()
        .err()
        .map_or_else(reply::done, reply::meta_errors)
}
