use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde_json::json;

use super::front::front;
use super::{inspect, reply};
use crate::api::{Membership, Refusal, delivery, v1, v2};
use crate::world::World;

/// The API behind its front, and beside it the desk where the books are shown.
pub(crate) fn router(world: &Arc<World>) -> Router {
    let front = from_fn_with_state(Arc::clone(world), front);
    let api = Router::new()
        .nest("/api/v1", v1_routes())
        .nest("/api/v2", v2_routes())
        .route("/unsubscribe/{delivery}", post(unsubscribe))
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
        .route("/metrics", post(metric))
        .route("/push/events", post(push_event))
        .route("/forms/{form}/submit", post(form))
        .route("/segments/{segment}/add_customers", post(add_to_segment))
        .route(
            "/segments/{segment}/remove_customers",
            post(remove_from_segment),
        )
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

async fn metric(State(world): Shared, body: Bytes) -> Response {
    one_message(&world.take(delivery::metric(&body)))
}

async fn push_event(State(world): Shared, body: Bytes) -> Response {
    one_message(&world.take(delivery::push_event(&body)))
}

async fn unsubscribe(State(world): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    one_message(&world.take(delivery::unsubscribe(&id, &body)))
}

async fn form(State(world): Shared, Path(form): Path<String>, body: Bytes) -> Response {
    match world.take(delivery::form(&form, &body)) {
        Ok(()) => reply::no_content(),
        Err(refusal) => reply::meta_errors(&refusal),
    }
}

async fn add_to_segment(
    State(world): Shared,
    Path(segment): Path<u64>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    change_segment(&world, segment, Membership::Added, query.as_deref(), &body)
}

async fn remove_from_segment(
    State(world): Shared,
    Path(segment): Path<u64>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    change_segment(
        &world,
        segment,
        Membership::Removed,
        query.as_deref(),
        &body,
    )
}

fn change_segment(
    world: &World,
    segment: u64,
    membership: Membership,
    query: Option<&str>,
    body: &[u8],
) -> Response {
    if world.books(|books| books.segment(segment).is_none()) {
        return reply::not_found();
    }
    let mut pairs = query.unwrap_or_default().split('&');
    let kind = pairs.find_map(|pair| pair.strip_prefix("id_type="));
    messages(&world.take(delivery::segment(segment, membership, kind, body)))
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
