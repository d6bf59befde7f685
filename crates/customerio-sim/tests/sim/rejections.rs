//! Requests that the API rejects: the status, the envelope and the words.

use customerio_sim::Simulator;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, bare, raw};

async fn client() -> Client {
    Client::pipe(&Simulator::builder().segment(7).build()).await
}

/// Sends a request with credentials, and compares status and body.
async fn check(
    client: &mut Client,
    (method, path): (Method, &str),
    body: &Value,
    status: u16,
    expected: &Value,
) {
    let reply = client.call(method, path, body).await;
    let found = serde_json::from_slice(&reply.body).unwrap_or_else(|_| json!(format!("{reply:?}")));
    assert_eq!(
        (reply.status.as_u16(), &found),
        (status, expected),
        "{path}"
    );
}

fn meta_errors(message: &str) -> Value {
    json!({"meta": {"errors": [message]}})
}

#[tokio::test(start_paused = true)]
async fn devices_have_the_envelope_with_a_list_of_errors() {
    let mut client = client().await;
    check(
        &mut client,
        (Method::PUT, "/api/v1/customers/1/devices"),
        &json!({"device": {"id": "t", "platform": "windows"}}),
        400,
        &meta_errors("platform must be one of android, ios"),
    )
    .await;
    check(
        &mut client,
        (Method::DELETE, "/api/v1/customers/%20/devices/t"),
        &json!({}),
        400,
        &meta_errors("id attribute cannot be an empty string"),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_cannot_be_read_is_rejected_in_the_envelope_of_the_api() {
    let mut client = client().await;
    let number = meta_errors("segment_id must be an integer");
    let text = "path must be percent-encoded UTF-8";
    let one = json!({"meta": {"error": text}});
    for (method, path, expected) in [
        (Method::POST, "/api/v1/segments/x/add_customers", &number),
        (
            Method::POST,
            "/api/v1/segments/-1/remove_customers",
            &number,
        ),
        (Method::PUT, "/api/v1/customers/%FF", &one),
        (Method::POST, "/unsubscribe/%FF", &one),
        (
            Method::POST,
            "/api/v1/customers/%FF/events",
            &meta_errors(text),
        ),
        (
            Method::DELETE,
            "/api/v1/customers/1/devices/%FF",
            &meta_errors(text),
        ),
        (Method::POST, "/api/v1/forms/%FF/submit", &meta_errors(text)),
    ] {
        check(&mut client, (method, path), &json!({}), 400, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_or_method_is_rejected_in_the_envelope_of_the_api() {
    let mut client = client().await;
    let nothing = json!({"error": "no such record"});
    for (method, path, status, expected) in [
        (
            Method::GET,
            "/api/v1/merge_customers",
            405,
            &json!({"meta": {"error": "method not allowed"}}),
        ),
        (
            Method::PUT,
            "/api/v1/customers/",
            404,
            &json!({"meta": {"error": "not found"}}),
        ),
        (Method::GET, "/_sim/segments/x", 404, &nothing),
        (Method::GET, "/_sim/people/%FF", 404, &nothing),
    ] {
        check(&mut client, (method, path), &json!({}), status, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_id_is_rejected_in_the_documented_words() {
    let mut client = client().await;
    for (identifiers, reason, field, message) in [
        (
            json!({}),
            "required",
            "identifiers",
            "id attribute must be present",
        ),
        (
            json!({"id": 5}),
            "invalid",
            "id",
            "id attribute must be a string value",
        ),
        (
            json!({"id": ""}),
            "required",
            "id",
            "id attribute cannot be an empty string",
        ),
    ] {
        let body = json!({"type": "person", "action": "identify", "identifiers": identifiers});
        let error = json!({"reason": reason, "field": field, "message": message});
        check(
            &mut client,
            (Method::POST, "/api/v2/entity"),
            &body,
            400,
            &json!({"errors": [error]}),
        )
        .await;
    }
    check(
        &mut client,
        (Method::PUT, "/api/v1/customers/%20"),
        &json!({}),
        400,
        &json!({"meta": {"error": "id attribute cannot be an empty string"}}),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn names_of_pages_and_screens_have_the_limit_of_event_names() {
    let mut client = client().await;
    for kind in ["event", "page", "screen"] {
        for (length, status) in [(100, 200), (101, 400)] {
            let event = json!({"type": kind, "name": "x".repeat(length)});
            let path = "/api/v1/customers/1/events";
            let reply = client.call(Method::POST, path, &event).await;
            assert_eq!(reply.status, status, "v1 {kind} {length}");
            if status == 400 {
                let message = "event name cannot be longer than 100 bytes";
                assert_eq!(reply.json(), meta_errors(message));
            }
            let event = json!({
                "type": "person",
                "action": kind,
                "identifiers": {"id": "1"},
                "name": "x".repeat(length),
            });
            let reply = client.call(Method::POST, "/api/v2/entity", &event).await;
            assert_eq!(reply.status, status, "v2 {kind} {length}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_delivery_needs_the_token_of_its_device() {
    let mut client = client().await;
    for (attributes, status) in [
        (json!({"device_token": "t"}), 200),
        (json!({"device_token": ""}), 400),
        (json!({}), 400),
        (json!(null), 400),
    ] {
        let event = json!({
            "type": "delivery",
            "action": "event",
            "identifiers": {"id": "d"},
            "name": "opened",
            "attributes": attributes,
        });
        let reply = client.call(Method::POST, "/api/v2/entity", &event).await;
        assert_eq!(reply.status, status, "{attributes}");
    }
}

#[tokio::test(start_paused = true)]
async fn update_is_a_boolean() {
    let mut client = client().await;
    for (update, status) in [
        (json!(true), 200),
        (json!(false), 200),
        (json!("true"), 400),
        (json!(1), 400),
    ] {
        let attributes = json!({"_update": update});
        let path = "/api/v1/customers/1";
        let reply = client.call(Method::PUT, path, &attributes).await;
        assert_eq!(reply.status, status, "v1 {update}");
        let identify = json!({
            "type": "person",
            "action": "identify",
            "identifiers": {"id": "1"},
            "attributes": attributes,
        });
        let reply = client.call(Method::POST, "/api/v2/entity", &identify).await;
        assert_eq!(reply.status, status, "v2 {update}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_credentials_are_none() {
    let mut client = client().await;
    for (pair, status) in [
        ("c2l0ZTprZXk=", 200), // site:key
        ("Og==", 401),         // :
        ("c2l0ZTo=", 401),     // site:
        ("OmtleQ==", 401),     // :key
        ("c2l0ZQ==", 401),     // site
    ] {
        let mut request = bare(Method::PUT, "/api/v1/customers/1", "{}");
        let value = format!("Basic {pair}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let reply = client.send(request).await.unwrap();
        assert_eq!(reply.status, status, "{pair}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_url_of_the_region_has_a_scheme() {
    let mut client = client().await;
    let mut request = raw(Method::GET, "/api/v1/accounts/region", "");
    let host = "127.0.0.1:8080".parse().unwrap();
    request.headers_mut().insert("host", host);
    let reply = client.send(request).await.unwrap();
    assert_eq!(reply.json()["url"], "http://127.0.0.1:8080");
}
