use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::reply;
use crate::api::Identifier;
use crate::world::World;

/// Shows the books. Requests here are neither limited nor counted, and meet no weather.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/books", get(books))
        .route("/people/{identifier}", get(person))
        .route("/events/{id}", get(event))
        .route("/objects/{type}/{id}", get(object))
        .route("/deliveries/{id}", get(delivery))
        .route("/forms/{id}", get(form))
        .route("/segments/{id}", get(segment))
        .fallback(unknown)
}

async fn books(State(world): State<Arc<World>>) -> Response {
    reply::json(StatusCode::OK, &world.books(|books| books.totals()))
}

async fn person(State(world): State<Arc<World>>, Path(identifier): Path<String>) -> Response {
    let identifier = Identifier::in_path(&identifier).ok();
    let person =
        identifier.and_then(|identifier| world.books(|books| books.person(&identifier).cloned()));
    found(person.as_ref())
}

async fn event(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    found(world.books(|books| books.event(&id).cloned()).as_ref())
}

async fn object(
    State(world): State<Arc<World>>,
    Path((type_id, id)): Path<(String, String)>,
) -> Response {
    found(
        world
            .books(|books| books.object(&type_id, &id).cloned())
            .as_ref(),
    )
}

async fn delivery(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    found(world.books(|books| books.delivery(&id).cloned()).as_ref())
}

async fn form(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    found(world.books(|books| books.form(&id).cloned()).as_ref())
}

async fn segment(State(world): State<Arc<World>>, Path(id): Path<u64>) -> Response {
    found(world.books(|books| books.segment(id).cloned()).as_ref())
}

async fn unknown() -> Response {
    found(None::<&()>)
}

fn found(record: Option<&impl Serialize>) -> Response {
    match record {
        Some(record) => reply::json(StatusCode::OK, record),
        None => reply::json(StatusCode::NOT_FOUND, &json!({"error": "not in the books"})),
    }
}
