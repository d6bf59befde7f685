//! Short constructors for tests.

use bytes::Bytes;
use customerio::{
    Attributes, Batch, Credentials, Endpoint, EventId, Operation, Outcome, Person, Region,
};
use http::Response;

pub(crate) const KEY: &str = "top-secret";

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::for_region(Region::Us, Credentials::new("site", KEY).unwrap())
}

pub(crate) fn person(id: &str) -> Person {
    Person::id(id).unwrap()
}

pub(crate) fn attributes(json: &str) -> Attributes {
    Attributes::from_serialize(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
}

pub(crate) fn identify(id: &str) -> Operation {
    Operation::identify(&person(id), &Attributes::new()).unwrap()
}

pub(crate) fn batch(ids: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for id in ids {
        batch.push(identify(id)).unwrap();
    }
    batch
}

pub(crate) fn event_id() -> EventId {
    "01HB4HBDKTFWYZCK01DMRSWRFD".parse().unwrap()
}

pub(crate) fn response(status: u16, body: &str) -> Response<Bytes> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Response::builder().status(status).body(body).unwrap()
}

/// Returns outcomes as one word each, with the reason of a rejection.
pub(crate) fn shown(outcomes: &[Outcome]) -> String {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Rejected(rejection) => format!("rejected({})", rejection.reason()),
        Outcome::Unknown(_) => "unknown".to_owned(),
        Outcome::NotSent(_) => "not_sent".to_owned(),
    };
    outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
}
