//! Requests recorded from the official Node and Python SDKs, built with this crate.
//!
//! Differences from the recordings, each on purpose: empty `data` and attributes of version 2 are
//! left out; values that would remove an attribute are left out unless they are asked for with
//! `unset`; DELETE has no body; ids that look like another kind are errors in version 1 unless the
//! kind is named; bodies are UTF-8 and not escaped to ASCII.

use customerio::{
    AnonymousEvent, Attributes, Batch, Event, Operation, Person, Request, Timestamp, v1,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{attributes, endpoint, event_id, identify, person};

fn check(request: impl Into<Request>, line: &str, body: impl Into<Value>) {
    let body = body.into();
    let request = request.into();
    assert_eq!(format!("{} {}", request.method(), request.path()), line);
    let sent = request
        .body()
        .map(|body| serde_json::from_slice(&body).unwrap());
    assert_eq!(sent.unwrap_or(Value::Null), body, "{line}");
}

fn event(name: &str) -> Event {
    Event::new(name).unwrap()
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::new(seconds).unwrap()
}

#[test]
fn identify_of_version_1() {
    let none = Attributes::new();
    let check = |person: &Person, attributes: &Attributes, path: &str, body| {
        let line = format!("PUT /api/v1/customers/{path}");
        check(v1::identify(person, attributes).unwrap(), &line, body);
    };
    let mut every_kind = attributes(
        r#"{"email":"a@b.co","created_at":1700000000,"plan":"pro","vip":true,"score":1.5,
            "tags":["a","b"],"nested":{"a":1}}"#,
    );
    every_kind.unset("nothing").unwrap();
    let body = json!({"email": "a@b.co", "created_at": 1700000000, "plan": "pro", "vip": true, "score": 1.5,
        "nothing": null, "tags": ["a", "b"], "nested": {"a": 1}});
    check(&person("u1"), &every_kind, "u1", body);
    check(&person("5"), &none, "5", json!({}));
    check(
        &person("0"),
        &attributes(r#"{"a":1}"#),
        "0",
        json!({"a": 1}),
    );
    let email = Person::email("person+tag@example.com").unwrap();
    let name = attributes(r#"{"first_name":"A"}"#);
    check(
        &email,
        &name,
        "person%2Btag%40example.com",
        json!({"first_name": "A"}),
    );
    let cio_id = Person::cio_id("cio_03000001").unwrap();
    let new = attributes(r#"{"email":"new@b.co"}"#);
    check(&cio_id, &new, "cio_03000001", json!({"email": "new@b.co"}));
    check(
        &person("a b/c?d#e%f&g:h"),
        &none,
        "a%20b%2Fc%3Fd%23e%25f%26g%3Ah",
        json!({}),
    );
    check(
        &person("it's(ok)*!~-._"),
        &none,
        "it%27s%28ok%29%2A%21~-._",
        json!({}),
    );
    let unicode = attributes(r#"{"name":"ünï 😀"}"#);
    let path = "%C3%BCn%C3%AF-%E6%97%A5%E6%9C%AC-%F0%9F%98%80";
    check(
        &person("ünï-日本-😀"),
        &unicode,
        path,
        json!({"name": "ünï 😀"}),
    );
    let update = attributes(r#"{"when":1704110400,"_update":true,"tracked":false}"#);
    check(
        &person("u1"),
        &update,
        "u1",
        json!({"when": 1704110400, "_update": true, "tracked": false}),
    );
}

#[test]
fn events_of_version_1() {
    let check = |event: &Event, body| {
        let request = v1::event(&person("u1"), event).unwrap();
        check(request, "POST /api/v1/customers/u1/events", body);
    };
    let items = attributes(r#"{"price":23.45,"items":[{"sku":"x"}]}"#);
    let body = json!({"name": "purchase", "data": {"price": 23.45, "items": [{"sku": "x"}]}});
    check(&event("purchase").attributes(items), body);
    check(&event("purchase"), json!({"name": "purchase", "data": {}}));
    let exact = event("purchase")
        .id(event_id())
        .timestamp(seconds(1_561_231_234));
    let body = json!({"name": "purchase", "data": {}, "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "timestamp": 1561231234});
    check(&exact, body);
    let old = event("old")
        .timestamp(seconds(1_500_000_000))
        .attributes(attributes(r#"{"price":1}"#));
    check(
        &old,
        json!({"name": "old", "data": {"price": 1}, "timestamp": 1500000000}),
    );
}

#[test]
fn anonymous_events() {
    let viewed = event("viewed").attributes(attributes(r#"{"a":1}"#));
    let viewed = AnonymousEvent::new("anon-1", viewed).unwrap();
    let body = json!({"name": "viewed", "data": {"a": 1}, "anonymous_id": "anon-1"});
    check(viewed, "POST /api/v1/events", body);
    let invite = AnonymousEvent::invite("x@y.z", event("invite")).unwrap();
    let body = json!({"name": "invite", "data": {"recipient": "x@y.z"}});
    check(&invite, "POST /api/v1/events", body);
}

#[test]
fn removals_of_version_1() {
    check(
        v1::delete(&person("u1")).unwrap(),
        "DELETE /api/v1/customers/u1",
        Value::Null,
    );
    check(
        v1::suppress(&person("a/b")).unwrap(),
        "POST /api/v1/customers/a%2Fb/suppress",
        json!({}),
    );
}

#[test]
fn entities_of_version_2() {
    let check = |operation: Operation, body| check(operation, "POST /api/v2/entity", body);
    check(
        identify("a@b.co"),
        json!({"type": "person", "action": "identify", "identifiers": {"id": "a@b.co"}}),
    );
    let bought = event("purchase").id(event_id()).timestamp(seconds(-1));
    let bought = bought.attributes(attributes(r#"{"price":1}"#));
    let body = json!({"type": "person", "action": "event", "identifiers": {"email": "a@b.co"}, "name": "purchase",
        "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "timestamp": -1, "attributes": {"price": 1}});
    check(
        Operation::event(&Person::email("a@b.co").unwrap(), &bought).unwrap(),
        body,
    );
    let cio_id = Person::cio_id("cio_03000001").unwrap();
    let body = json!({"type": "person", "action": "delete", "identifiers": {"cio_id": "03000001"}});
    check(Operation::delete(&cio_id).unwrap(), body);
    let body = json!({"type": "person", "action": "suppress", "identifiers": {"id": "u1"}});
    check(Operation::suppress(&person("u1")).unwrap(), body);
}

#[test]
fn batches_of_version_2() {
    let email = Person::email("a@b.co").unwrap();
    let bought = event("purchase")
        .id(event_id())
        .attributes(attributes(r#"{"price":1}"#));
    let mut batch = Batch::new();
    batch
        .push(Operation::identify(&person("u1"), &attributes(r#"{"a":1}"#)).unwrap())
        .unwrap();
    batch
        .push(Operation::event(&email, &bought).unwrap())
        .unwrap();
    let body = json!({"batch": [
        {"type": "person", "action": "identify", "identifiers": {"id": "u1"}, "attributes": {"a": 1}},
        {"type": "person", "action": "event", "identifiers": {"email": "a@b.co"}, "name": "purchase",
         "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "attributes": {"price": 1}},
    ]});
    check(batch, "POST /api/v2/batch", body);
}

#[tokio::test]
async fn http_requests_carry_the_whole() {
    let request = Request::from(identify("u1")).to_http(&endpoint());
    assert_eq!(request.uri(), "https://track.customer.io/api/v2/entity");
    let headers = request.headers();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Basic c2l0ZTp0b3Atc2VjcmV0");
    assert!(headers["authorization"].is_sensitive());
    assert!(
        headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("customerio-rust/")
    );
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, identify("u1").json());
}

#[test]
fn a_request_without_a_body_has_no_content_type() {
    let request = v1::delete(&person("u1")).unwrap().to_http(&endpoint());
    assert!(!request.headers().contains_key("content-type"));
    assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(0));
}
