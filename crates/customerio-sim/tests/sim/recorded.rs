//! The Track requests of the official library for Python, as it sent them to a recording server:
//! version 3.2.0, one request for each kind of call, in this order.

use customerio_sim::Simulator;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, raw};

#[rustfmt::skip]
const PYTHON: &[(&str, &str, &str)] = &[
    ("PUT", "/api/v1/customers/u1",
        r#"{"email": "new@b.co", "created_at": 1700000000, "plan": "pro", "vip": true, "score": 1.5, "nothing": null, "empty": "", "tags": ["a", "b"], "nested": {"a": 1}}"#),
    ("PUT", "/api/v1/customers/5",
        r#"{}"#),
    ("PUT", "/api/v1/customers/person%2Btag%40example.com",
        r#"{"first_name": "A"}"#),
    ("PUT", "/api/v1/customers/cio_03000001",
        r#"{"email": "new@b.co"}"#),
    ("PUT", "/api/v1/customers/a%20b%2Fc%3Fd%23e%25f%26g%3Ah",
        r#"{}"#),
    ("PUT", "/api/v1/customers/it%27s%28ok%29%2A%21~-._",
        r#"{}"#),
    ("PUT", "/api/v1/customers/%C3%BCn%C3%AF-%E6%97%A5%E6%9C%AC-%F0%9F%98%80",
        r#"{"name": "\u00fcn\u00ef \ud83d\ude00"}"#),
    ("PUT", "/api/v1/customers/u1",
        r#"{"when": 1704110400, "aware": 1704103200, "nan": null, "nested": {"when": 1704067200, "l": [null]}, "_update": true}"#),
    ("PUT", "/api/v1/customers/0",
        r#"{"a": 1}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {"price": 23.45, "items": [{"sku": "x"}]}}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {}}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {}, "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "timestamp": 1561231234}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {}, "timestamp": 1704067200}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {}}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "purchase", "data": {}, "timestamp": 1700000000123}"#),
    ("POST", "/api/v1/events",
        r#"{"name": "viewed", "data": {"a": 1}, "anonymous_id": "anon-1"}"#),
    ("POST", "/api/v1/events",
        r#"{"name": "invite", "data": {"recipient": "x@y.z"}}"#),
    ("POST", "/api/v1/events",
        r#"{"name": "invite", "data": {}}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"type": "page", "name": "https://example.com/a?b=c", "data": {"referrer": "https://r"}}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "old", "data": {"price": 1}, "timestamp": 1500000000}"#),
    ("POST", "/api/v1/customers/u1/events",
        r#"{"name": "old", "data": {}, "timestamp": 1577836800}"#),
    ("DELETE", "/api/v1/customers/u1",
        r#"{}"#),
    ("PUT", "/api/v1/customers/u1/devices",
        r#"{"device": {"id": "tok", "platform": "ios"}}"#),
    ("PUT", "/api/v1/customers/u1/devices",
        r#"{"device": {"last_used": 1700000000, "attributes": {"app_version": "1.0"}, "foo": "bar", "id": "tok", "platform": "android"}}"#),
    ("DELETE", "/api/v1/customers/u1/devices/tok%2F1",
        r#"{}"#),
    ("POST", "/api/v1/customers/a%2Fb/suppress",
        r#"{}"#),
    ("POST", "/api/v1/customers/u1/unsuppress",
        r#"{}"#),
    ("POST", "/api/v1/merge_customers",
        r#"{"primary": {"id": "keep"}, "secondary": {"email": "drop@b.co"}}"#),
    ("POST", "/api/v1/merge_customers",
        r#"{"primary": {"cio_id": "03000001"}, "secondary": {"id": 5}}"#),
    ("POST", "/api/v2/batch",
        r#"{"batch": [{"type": "person", "action": "identify", "identifiers": {"id": "u1"}, "attributes": {"a": 1}}, {"type": "person", "action": "event", "identifiers": {"email": "a@b.co"}, "name": "purchase", "attributes": {"price": 1}}]}"#),
];

/// Sends the requests from `from` to `to`. Panics unless all are accepted.
async fn send(client: &mut Client, from: usize, to: usize) {
    for (method, path, body) in &PYTHON[from..to] {
        let method: Method = method.parse().unwrap();
        let reply = client.send(raw(method, path, body)).await.unwrap();
        assert_eq!(reply.status, 200, "{path} {body}: {reply:?}");
    }
}

/// Returns the number of the first request to `path` whose body contains `body`.
fn position(path: &str, body: &str) -> usize {
    let found = PYTHON
        .iter()
        .position(|request| request.1 == path && request.2.contains(body));
    found.unwrap_or_else(|| panic!("no request to {path} with {body}"))
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_the_python_library_have_the_effects_that_it_expects() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    let attributes = |person: &str| {
        let person = simulator.person(person);
        person.map_or(Value::Null, |person| person.attributes.into())
    };

    let deletion = position("/api/v1/customers/u1", "{}");
    send(&mut client, 0, deletion).await;
    // `null` and the empty string have no value. The first person is `cio_03000001`, whose email
    // address one of the calls changes.
    assert_eq!(
        attributes("u1"),
        json!({
            "email": "new@b.co", "created_at": 1_700_000_000, "plan": "pro", "vip": true,
            "score": 1.5, "tags": ["a", "b"], "when": 1_704_110_400, "aware": 1_704_103_200,
            "nested": {"when": 1_704_067_200, "l": [null]},
        })
    );
    for person in [
        "5",
        "0",
        "person+tag@example.com",
        "a b/c?d#e%f&g:h",
        "it's(ok)*!~-._",
    ] {
        assert!(simulator.person(person).is_some(), "{person}");
    }
    assert_eq!(attributes("ünï-日本-😀")["name"], "ünï 😀");
    // Nine events of u1, with one page among them, and three without a person.
    let purchase = simulator.event("01HB4HBDKTFWYZCK01DMRSWRFD").unwrap();
    assert_eq!(
        (purchase.timestamp, purchase.person.as_deref()),
        (Some(1_561_231_234), Some("u1"))
    );
    assert_eq!(simulator.person("u1").unwrap().events, 9);
    assert_eq!(simulator.totals().events, 12);

    let added = position("/api/v1/customers/u1/devices/tok%2F1", "{}");
    send(&mut client, deletion, added).await;
    let known = simulator.person("u1").unwrap();
    assert!(known.attributes.is_empty(), "deleted, and created again");
    assert_eq!(known.devices["tok"]["platform"], "android");

    let merges = position("/api/v1/merge_customers", "");
    send(&mut client, added, merges).await;
    client.put("keep").await;
    client.put("drop%40b.co").await;
    let people = simulator.totals().people;
    send(&mut client, merges, PYTHON.len()).await;
    assert_eq!(simulator.person("drop@b.co"), None, "merged");
    assert_eq!(attributes("u1"), json!({"a": 1}));
    assert_eq!(simulator.person("a@b.co").unwrap().events, 1);
    // One merged, and the email address of the batch is new.
    assert_eq!(simulator.totals().people, people);
    let totals = simulator.totals();
    assert_eq!((totals.rejected, totals.duplicate_events), (0, 0));
}
