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
use crate::api::{Filter, Identifier};
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
    // An empty text for a person without an id, as the API sends it.
    let ids = people
        .iter()
        .map(|person| person["id"].as_str().unwrap_or_default());
    let ids: Vec<_> = ids.collect();
    let body = json!({"identifiers": people, "ids": ids, "next": next.unwrap_or_default()});
    Ok(reply::json(StatusCode::OK, &body))
}

/// `GET /v1/customers/{id}/attributes`.
pub(super) async fn attributes(
    State(shared): Handle,
    Path(person): Path<String>,
    query: Query,
) -> Reply {
    let person = query.person(&person)?;
    Ok(match shared.store(|store| store.customer(&person)) {
        Some(customer) => reply::json(StatusCode::OK, &json!({"customer": customer})),
        None => reply::app_not_found(),
    })
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
