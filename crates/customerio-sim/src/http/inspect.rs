use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::reply;
use crate::api::Identifier;
use crate::world::World;

/// Shows the books to this machine. Requests here are neither limited nor counted, and meet no
/// weather.
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
        .layer(from_fn(only_for_this_machine))
}

async fn only_for_this_machine(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    match host.is_some_and(is_loopback) {
        true => next.run(request).await,
        false => reply::not_for_this_host(),
    }
}

/// Returns whether a `Host` names this machine, with or without a port.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    match bare.unwrap_or(name).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") && !host.contains('@'),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "192.168.0.1:8080",
            "0.0.0.0",
            "user@localhost",
            "localhost,example.com",
            "::2",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
