use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde_json::json;

use super::path::Path;
use super::{app, inspect, middleware, reply};
use crate::api::{Membership, Rejection, delivery, v1, v2};
use crate::shared::Shared;

/// Returns the API with its middleware, and beside it `/_sim`, which shows the records.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let simulate = from_fn_with_state(Arc::clone(shared), middleware::simulate);
    let api = Router::new()
        .nest("/api/v1", v1_routes())
        .nest("/api/v2", v2_routes())
        .nest("/v1", app::routes())
        .route("/unsubscribe/{delivery}", post(unsubscribe))
        // The official library for Ruby sends push events here.
        .route("/push/events", post(push_event))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(simulate);
    api.nest("/_sim", inspect::routes())
        .with_state(Arc::clone(shared))
}

/// The state of a handler.
type Handle = State<Arc<Shared>>;

fn v1_routes() -> Router<Arc<Shared>> {
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

fn v2_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/entity", post(entity))
        .route("/batch", post(batch))
}

async fn not_found() -> Response {
    reply::not_found()
}

async fn method_not_allowed(uri: Uri) -> Response {
    match app::is_app(uri.path()) {
        true => reply::app_error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        false => reply::method_not_allowed(),
    }
}

/// Responds with the URL of the request itself, so that a client that follows it stays here.
async fn region(headers: HeaderMap) -> Response {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    reply::json(
        StatusCode::OK,
        &json!({"url": format!("http://{host}"), "region": "us", "environment_id": 1}),
    )
}

async fn identify(State(shared): Handle, Path(person): Path<String>, body: Bytes) -> Response {
    one_error(shared.apply(v1::identify(&person, &body)))
}

async fn delete_person(State(shared): Handle, Path(person): Path<String>) -> Response {
    one_error(shared.apply(v1::delete(&person)))
}

async fn suppress(State(shared): Handle, Path(person): Path<String>) -> Response {
    one_error(shared.apply(v1::suppress(&person)))
}

async fn unsuppress(State(shared): Handle, Path(person): Path<String>) -> Response {
    one_error(shared.apply(v1::unsuppress(&person)))
}

async fn add_device(State(shared): Handle, Path(person): Path<String>, body: Bytes) -> Response {
    error_list(shared.apply(v1::add_device(&person, &body)))
}

async fn delete_device(
    State(shared): Handle,
    Path((person, token)): Path<(String, String)>,
) -> Response {
    error_list(shared.apply(v1::delete_device(&person, &token)))
}

async fn merge(State(shared): Handle, body: Bytes) -> Response {
    one_error(shared.apply(v1::merge(&body)))
}

async fn event(State(shared): Handle, Path(person): Path<String>, body: Bytes) -> Response {
    error_list(shared.apply(v1::event(&person, &body)))
}

async fn anonymous_event(State(shared): Handle, body: Bytes) -> Response {
    error_list(shared.apply(v1::anonymous_event(&body)))
}

async fn metric(State(shared): Handle, body: Bytes) -> Response {
    one_error(shared.apply(delivery::metric(&body)))
}

async fn push_event(State(shared): Handle, body: Bytes) -> Response {
    one_error(shared.apply(delivery::push_event(&body)))
}

async fn unsubscribe(State(shared): Handle, Path(id): Path<String>, body: Bytes) -> Response {
    one_error(shared.apply(delivery::unsubscribe(&id, &body)))
}

async fn form(State(shared): Handle, Path(form): Path<String>, body: Bytes) -> Response {
    match shared.apply(delivery::form(&form, &body)) {
        Ok(()) => reply::no_content(),
        Err(rejection) => reply::meta_errors(&rejection),
    }
}

async fn add_to_segment(
    State(shared): Handle,
    Path(segment): Path<u64>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    change_segment(&shared, segment, Membership::Added, query.as_deref(), &body)
}

async fn remove_from_segment(
    State(shared): Handle,
    Path(segment): Path<u64>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    change_segment(
        &shared,
        segment,
        Membership::Removed,
        query.as_deref(),
        &body,
    )
}

fn change_segment(
    shared: &Shared,
    segment: u64,
    membership: Membership,
    query: Option<&str>,
    body: &[u8],
) -> Response {
    // The Track API cannot create a segment, so an unknown one is an error of the caller.
    if !shared.store(|store| store.segment_exists(segment)) {
        return reply::not_found();
    }
    // The known values need no percent-decoding; another value is rejected as it is.
    let mut pairs = query.unwrap_or_default().split('&');
    let kind = pairs.find_map(|pair| pair.strip_prefix("id_type="));
    error_list(shared.apply(delivery::segment(segment, membership, kind, body)))
}

async fn entity(State(shared): Handle, body: Bytes) -> Response {
    match shared.apply(v2::entity(&body)) {
        Ok(()) => reply::done(),
        // The length decides the status here only: in a batch it is an error of one item.
        Err(rejection) if body.len() > v2::MAX_OPERATION_BYTES => {
            reply::errors(StatusCode::PAYLOAD_TOO_LARGE, &rejection)
        }
        Err(rejection) => reply::errors(StatusCode::BAD_REQUEST, &rejection),
    }
}

async fn batch(State(shared): Handle, body: Bytes) -> Response {
    // Before the body is parsed, so that an invalid batch of this length gets 413 too.
    if body.len() > v2::MAX_BATCH_BYTES {
        return reply::errors(StatusCode::PAYLOAD_TOO_LARGE, &v2::batch_too_large());
    }
    match v2::batch(&body).map(|operations| shared.apply_batch(operations)) {
        Ok(rejections) if rejections.is_empty() => reply::done(),
        Ok(rejections) => reply::item_errors(&rejections),
        Err(rejection) => reply::errors(StatusCode::BAD_REQUEST, &rejection),
    }
}

/// Responds in the envelope of v1 for people.
fn one_error(result: Result<(), Rejection>) -> Response {
    match result {
        Ok(()) => reply::done(),
        Err(rejection) => reply::meta_error(&rejection),
    }
}

/// Responds in the envelope of v1 for devices, events, forms and segments.
fn error_list(result: Result<(), Rejection>) -> Response {
    match result {
        Ok(()) => reply::done(),
        Err(rejection) => reply::meta_errors(&rejection),
    }
}
