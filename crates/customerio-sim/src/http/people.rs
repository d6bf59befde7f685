//! Questions about people, in the App API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::path::Path;
use super::query::{Invalid, Query};
use super::reply;
use super::segments::people_and_ids;
use crate::api::{Filter, Identifier, opt_out};
use crate::records::ActivityFilter;
use crate::shared::Shared;

type Handle = State<Arc<Shared>>;

type Reply = Result<Response, Invalid>;

/// `GET /v1/activities`.
pub(super) async fn activities(State(shared): Handle, query: Query) -> Reply {
    let person = query.get("customer_id").map(|id| query.person(id));
    found(&shared, &query, person.transpose()?)
}

/// `GET /v1/customers/{id}/activities`.
pub(super) async fn activities_of_person(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    found(&shared, &query, Some(person))
}

fn found(shared: &Shared, query: &Query, person: Option<Identifier>) -> Reply {
    let filter = ActivityFilter {
        person,
        kind: query.get("type").map(str::to_owned),
        name: query.get("name").map(str::to_owned),
        deleted: query.parsed("deleted")?.unwrap_or(false),
        before: query.parsed("start")?,
        limit: query.limit(10, 100)?,
    };
    let now = shared.clock.unix_seconds();
    Ok(match shared.store(|store| store.activities(filter, now)) {
        Some((activities, next)) => {
            let next = next.map_or_else(String::new, |next| next.to_string());
            reply::json(
                StatusCode::OK,
                &json!({"activities": activities, "next": next}),
            )
        }
        None => reply::app_not_found(),
    })
}

/// `GET /v1/customers?email=`.
pub(super) async fn with_email(State(shared): Handle, query: Query) -> Reply {
    let email = query
        .get("email")
        .ok_or_else(|| Invalid::new("email is required"))?;
    let results = shared.store(|store| store.people_with_email(email));
    Ok(reply::json(StatusCode::OK, &json!({"results": results})))
}

/// `POST /v1/customers`.
pub(super) async fn search(State(shared): Handle, query: Query, body: Bytes) -> Reply {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let filter = Filter::read("filter", &body["filter"])?;
    let limit = query.limit(50, 1_000)?;
    let (people, next) = shared.store(|store| store.search(&filter, query.get("start"), limit));
    Ok(reply::json(StatusCode::OK, &people_and_ids(&people, next)))
}

/// `GET /v1/customers/{id}/attributes`.
pub(super) async fn attributes(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    let customer = shared.store(|store| store.customer(&person));
    Ok(reply::member("customer", customer))
}

/// `GET /v1/customers/{id}/segments`.
pub(super) async fn segments(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    let segments = shared.store(|store| store.segments_of(&person));
    Ok(reply::member("segments", segments))
}

/// `GET /v1/customers/{id}/relationships`.
pub(super) async fn relationships(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    let (start, limit) = (query.parsed("start")?, query.limit(100, 1_000)?);
    let start = start.unwrap_or(0);
    let found = shared.store(|store| store.relationships_of(&person, start, limit));
    Ok(match found {
        Some((related, next)) => {
            let next = next.map_or_else(String::new, |next| next.to_string());
            let body = json!({"cio_relationships": related, "next": next});
            reply::json(StatusCode::OK, &body)
        }
        None => reply::app_not_found(),
    })
}

/// `GET /v1/customers/{id}/subscription_preferences`. No language is known here. Errors have the
/// envelope of the specification, which is another one than that of the other questions.
pub(super) async fn subscription_preferences(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Response {
    match query.person(&person) {
        Ok(person) => {
            let preferences = shared.store(|store| store.subscription_preferences(&person));
            reply::member("customer", preferences)
        }
        Err(invalid) => invalid.in_meta(),
    }
}

/// `GET /v1/customers/{id}/optouts`.
pub(super) async fn opt_outs(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    let opt_outs = shared.store(|store| store.opt_outs(&person));
    Ok(reply::member("optouts", opt_outs))
}

/// `PUT /v1/customers/{id}/optouts`.
pub(super) async fn change_opt_outs(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
    body: Bytes,
) -> Reply {
    let person = query.person(&person)?;
    let changes = opt_out::changes(&body)?;
    Ok(
        match shared.store(|store| store.change_opt_outs(&person, changes)) {
            true => reply::no_content(),
            false => reply::app_not_found(),
        },
    )
}

/// `GET /v1/optouts`.
pub(super) async fn all_opt_outs(State(shared): Handle, query: Query) -> Reply {
    let limit = query.limit(100, 1_000)?;
    let (from, start) = (query.get("from"), query.get("start"));
    let (people, next) = shared.store(|store| store.all_opt_outs(from, start, limit));
    let body = json!({"optouts": people, "next": next.unwrap_or_default()});
    Ok(reply::json(StatusCode::OK, &body))
}

/// `POST /v1/customers/attributes`. People who do not exist are left out.
pub(super) async fn attributes_of_many(State(shared): Handle, query: Query, body: Bytes) -> Reply {
    let invalid = || Invalid::new("ids must be an array of 1 to 100 strings");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ids = body["ids"]
        .as_array()
        .filter(|ids| (1..=100).contains(&ids.len()));
    let ids = ids.ok_or_else(invalid)?.iter();
    let people = ids.map(|id| query.person(id.as_str().ok_or_else(invalid)?));
    let people = people.collect::<Result<Vec<_>, _>>()?;
    let customers = shared.store(|store| {
        let customers = people.iter().filter_map(|person| store.customer(person));
        customers
            .map(|customer| json!({"customer": customer}))
            .collect::<Vec<_>>()
    });
    Ok(reply::json(
        StatusCode::OK,
        &json!({"customers": customers}),
    ))
}
