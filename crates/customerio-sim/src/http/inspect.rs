use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::path::Path;
use super::reply;
use crate::api::Identifier;
use crate::shared::Shared;

/// The routes under `/_sim`, which show the records to this machine. Requests to them are neither
/// limited nor counted, and no fault is injected.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/totals", get(totals))
        .route("/people/{identifier}", get(person))
        .route("/events/{id}", get(event))
        .route("/objects/{type}/{id}", get(object))
        .route("/deliveries/{id}", get(delivery))
        .route("/forms/{id}", get(form))
        .route("/exports/{id}", get(export))
        .route("/segments/{id}", get(segment))
        .route("/messages/{id}", get(message))
        .route("/broadcasts/{id}", get(broadcast))
        .fallback(unknown)
        .layer(from_fn(only_loopback))
}

/// Rejects other hosts. A web page elsewhere could otherwise read the records, through a host name
/// of its own that resolves to this machine (DNS rebinding).
async fn only_loopback(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    match host.is_some_and(is_loopback) {
        true => next.run(request).await,
        false => reply::not_for_this_host(),
    }
}

/// Returns whether a `Host` header names this machine, with or without a port.
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
        // `user@localhost` parses as a host with user information, which no `Host` header has.
        Err(_) => name.eq_ignore_ascii_case("localhost") && !host.contains('@'),
    }
}

async fn totals(State(shared): State<Arc<Shared>>) -> Response {
    reply::json(StatusCode::OK, &shared.store(|store| store.totals()))
}

async fn person(State(shared): State<Arc<Shared>>, Path(identifier): Path<String>) -> Response {
    let identifier = Identifier::in_path(&identifier).ok();
    let person =
        identifier.and_then(|identifier| shared.store(|store| store.person(&identifier).cloned()));
    found(person.as_ref())
}

async fn event(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    found(shared.store(|store| store.event(&id).cloned()).as_ref())
}

async fn object(
    State(shared): State<Arc<Shared>>,
    Path((type_id, id)): Path<(String, String)>,
) -> Response {
    let object = shared.store(|store| store.object(&type_id, &id).cloned());
    found(object.as_ref())
}

async fn delivery(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    found(shared.store(|store| store.delivery(&id).cloned()).as_ref())
}

async fn form(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    found(shared.store(|store| store.form(&id).cloned()).as_ref())
}

async fn segment(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    found(shared.store(|store| store.segment(id)).as_ref())
}

/// Shows the content of an export: its link leads here.
async fn export(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    let now = shared.clock.now();
    let items = shared.store(|store| store.exported(id, now).map(<[_]>::to_vec));
    found(items.as_ref())
}

async fn message(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    found(shared.store(|store| store.message(&id).cloned()).as_ref())
}

/// Shows the triggers of a broadcast.
async fn broadcast(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    let triggers = shared.store(|store| store.triggers(id).map(<[_]>::to_vec));
    found(triggers.as_ref())
}

async fn unknown() -> Response {
    reply::no_such_record()
}

fn found(record: Option<&impl Serialize>) -> Response {
    match record {
        Some(record) => reply::json(StatusCode::OK, record),
        None => reply::no_such_record(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_loopback_are_accepted() {
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
