use bytes::Bytes;
use customerio_sim::Simulator;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::client::Client;

#[track_caller]
fn check_status(reply: &crate::client::Reply, status: u16, body: &Value) {
    assert_eq!((reply.status.as_u16(), &reply.json()), (status, body));
}

#[tokio::test(start_paused = true)]
async fn v1_accepts_every_documented_operation() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    let done = json!({});
    for (method, path, body) in [
        (Method::PUT, "customers/1", json!({"plan": "pro"})),
        (
            Method::POST,
            "customers/1/events",
            json!({"name": "paid", "id": "01HB4HBDKTFWYZCK01DMRSWRFA"}),
        ),
        (
            Method::POST,
            "events",
            json!({"name": "seen", "anonymous_id": "a", "id": "01HB4HBDKTFWYZCK01DMRSWRFB"}),
        ),
        (
            Method::PUT,
            "customers/1/devices",
            json!({"device": {"id": "t", "platform": "ios"}}),
        ),
        (Method::DELETE, "customers/1/devices/t", Value::Null),
        (Method::PUT, "customers/2", json!({})),
        (
            Method::POST,
            "merge_customers",
            json!({"primary": {"id": "1"}, "secondary": {"id": "2"}}),
        ),
        (Method::POST, "customers/3/suppress", json!({})),
        (Method::POST, "customers/3/unsuppress", json!({})),
        (Method::DELETE, "customers/4", Value::Null),
    ] {
        let reply = client.call(method, &format!("/api/v1/{path}"), &body).await;
        check_status(&reply, 200, &done);
        assert_eq!(reply.body, "{}\n");
    }
    let totals = simulator.totals();
    assert_eq!(
        (
            totals.requests,
            totals.accepted,
            totals.rejected,
            totals.people,
            totals.events
        ),
        (10, 10, 0, 1, 2)
    );
    assert_eq!(
        simulator
            .event("01HB4HBDKTFWYZCK01DMRSWRFB")
            .unwrap()
            .person,
        None
    );
}

#[tokio::test(start_paused = true)]
async fn an_encoded_id_is_one_path_segment() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    client.put("a%20b%2Fc%3Fd%23e%25f%26g%3Ah").await;
    client.put("person%2Btag%40example.com").await;
    assert!(simulator.person("a b/c?d#e%f&g:h").is_some());
    assert!(simulator.person("Person+Tag@example.com").is_some());
    assert_eq!(simulator.totals().people, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_has_the_envelope_of_its_endpoint() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    let long = json!({"bio": "x".repeat(1_001)});
    let message = "value for attribute 'bio' cannot be longer than 1000 bytes";
    let reply = client.call(Method::PUT, "/api/v1/customers/1", &long).await;
    check_status(&reply, 400, &json!({"meta": {"error": message}}));
    let reply = client
        .call(Method::POST, "/api/v1/customers/1/events", &json!({}))
        .await;
    check_status(
        &reply,
        400,
        &json!({"meta": {"errors": ["event name must not be blank"]}}),
    );
    let operation = json!({
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "1"},
        "attributes": long,
    });
    let error = json!({"reason": "invalid", "field": "bio", "message": message});
    let reply = client
        .call(Method::POST, "/api/v2/entity", &operation)
        .await;
    check_status(&reply, 400, &json!({"errors": [error]}));
    let reply = client
        .call(Method::POST, "/api/v2/nothing", &operation)
        .await;
    check_status(&reply, 404, &json!({"meta": {"error": "not found"}}));
    let totals = simulator.totals();
    assert_eq!(
        (
            totals.requests,
            totals.accepted,
            totals.rejected,
            totals.people
        ),
        (4, 0, 4, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_gets_207_with_the_indices_of_its_rejected_operations() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    let person =
        |id: &str| json!({"type": "person", "action": "identify", "identifiers": {"id": id}});
    let reply = client
        .call(
            Method::POST,
            "/api/v2/batch",
            &json!({"batch": [person("1"), person("2")]}),
        )
        .await;
    check_status(&reply, 200, &json!({}));
    let reply = client
        .call(
            Method::POST,
            "/api/v2/batch",
            &json!({"batch": [person("3"), person(""), person("4")]}),
        )
        .await;
    let error = json!({
        "batch_index": 1,
        "reason": "required",
        "field": "id",
        "message": "id attribute cannot be an empty string",
    });
    check_status(&reply, 207, &json!({"errors": [error]}));
    let reply = client
        .call(Method::POST, "/api/v2/batch", &json!({"batch": 1}))
        .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["errors"][0]["field"]),
        (400, &json!("batch"))
    );
    let totals = simulator.totals();
    assert_eq!(
        (
            totals.requests,
            totals.accepted,
            totals.rejected,
            totals.people
        ),
        (3, 4, 2, 4)
    );
}

/// Returns a batch of exactly `size` bytes. Its operations are far below their own limit.
fn batch_of(size: usize) -> Value {
    let event = |fill: usize| {
        let attributes = json!({"fill": "x".repeat(fill)});
        json!({
            "type": "person",
            "action": "event",
            "identifiers": {"id": "1"},
            "name": "n",
            "attributes": attributes,
        })
    };
    let batch = |last: usize| {
        let events = (0..20).map(|_| event(24_000)).chain([event(last)]);
        json!({"batch": events.collect::<Value>()})
    };
    batch(size - batch(0).to_string().len())
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_at_most_500_000_bytes_and_an_operation_32_000() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    for (size, status) in [(500_000, 200), (500_001, 413)] {
        let reply = client
            .call(Method::POST, "/api/v2/batch", &batch_of(size))
            .await;
        assert_eq!(reply.status, status, "{size} bytes");
    }
    let huge = json!({
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "1"},
        "attributes": {"a": "x".repeat(32_000)},
    });
    assert_eq!(
        client
            .call(Method::POST, "/api/v2/entity", &huge)
            .await
            .status,
        413
    );
    let reply = client
        .call(Method::POST, "/api/v2/batch", &json!({"batch": [huge]}))
        .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["errors"][0]["reason"]),
        (207, &json!("too_large"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_over_a_mebibyte_never_reaches_the_counter() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    // A response or a closed pipe: the server does not wait for the rest of a body that is too
    // long.
    let _either = client
        .send(crate::client::request(
            Method::POST,
            "/api/v2/batch",
            &json!("x".repeat(1024 * 1024)),
        ))
        .await;
    assert_eq!(simulator.totals().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_required_and_checked_if_configured() {
    let bare = || {
        Request::put("/api/v1/customers/1")
            .header("host", "sim")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let open = Simulator::builder().build();
    assert_eq!(
        Client::pipe(&open).await.send(bare()).await.unwrap().status,
        401
    );
    assert_eq!(Client::pipe(&open).await.put("1").await.status, 200);
    let strict = Simulator::builder().credentials("site", "other").build();
    let reply = Client::pipe(&strict).await.put("1").await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (401, 0));
    let totals = strict.totals();
    assert_eq!(
        (
            totals.requests,
            totals.unauthorized,
            totals.rejected,
            totals.people
        ),
        (1, 1, 0, 0)
    );
    assert!(!format!("{strict:?}").contains("other"));
}

#[tokio::test(start_paused = true)]
async fn the_region_is_the_host_of_the_simulator() {
    let mut client = Client::pipe(&Simulator::builder().build()).await;
    let region = client.get("/api/v1/accounts/region").await;
    assert_eq!(
        region,
        json!({"url": "http://localhost", "region": "us", "environment_id": 1})
    );
}

#[tokio::test(start_paused = true)]
async fn operations_that_only_v1_has_are_recorded() {
    let simulator = Simulator::builder().segment(7).build();
    let mut client = Client::pipe(&simulator).await;
    client.put("1").await;
    for (path, body, status) in [
        (
            "/api/v1/segments/7/add_customers?id_type=id",
            json!({"ids": ["1", "unknown"]}),
            200,
        ),
        (
            "/api/v1/segments/8/add_customers",
            json!({"ids": ["1"]}),
            404,
        ),
        (
            "/api/v1/metrics",
            json!({"delivery_id": "d", "metric": "clicked"}),
            200,
        ),
        (
            "/api/v1/push/events",
            json!({"delivery_id": "d", "event": "opened", "device_id": "t"}),
            200,
        ),
        ("/unsubscribe/d", json!({"unsubscribe": true}), 200),
        (
            "/api/v1/forms/f%2F1/submit",
            json!({"data": {"email": "a@b.co", "name": "A"}}),
            204,
        ),
    ] {
        let reply = client.call(Method::POST, path, &body).await;
        assert_eq!(reply.status, status, "{path}");
    }
    let segment = client.get("/_sim/segments/7").await;
    assert_eq!(segment, json!(["1"]));
    let delivery = client.get("/_sim/deliveries/d").await;
    let metrics = json!({"clicked": 1, "opened": 1});
    assert_eq!(delivery, json!({"metrics": metrics, "unsubscribed": true}));
    let form = client.get("/_sim/forms/f%2F1").await;
    assert_eq!(form, json!({"submissions": 1, "last": {"name": "A"}}));
    assert_eq!(simulator.person("a@b.co").unwrap().attributes["name"], "A");
}

#[tokio::test(start_paused = true)]
async fn only_paths_without_authentication_in_the_specification_need_no_credentials() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    for (path, status) in [
        ("/unsubscribe/d", 400),
        ("/api/v1/metrics", 400),
        ("/api/v1/push/events", 400),
        ("/api/v1/merge_customers", 401),
        ("/api/v2/entity", 401),
    ] {
        let request = Request::post(path).header("host", "sim");
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
        assert_eq!(client.send(request).await.unwrap().status, status, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn objects_have_related_people() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    let acme = json!({"object_type_id": "1", "object_id": "acme"});
    let person = |action: &str| {
        let related = json!({"identifiers": acme, "relationship_attributes": {"role": "admin"}});
        json!({
            "type": "person",
            "action": action,
            "identifiers": {"id": "1"},
            "cio_relationships": [related],
        })
    };
    let anonymous = json!({"type": "object", "action": "identify_anonymous", "identifiers": acme,
        "attributes": {"seats": 5}, "cio_relationships": [{"identifiers": {"anonymous_id": "a"}}]});
    for body in [person("add_relationships"), anonymous] {
        let reply = client.call(Method::POST, "/api/v2/entity", &body).await;
        check_status(&reply, 200, &json!({}));
    }
    let object = client.get("/_sim/objects/1/acme").await;
    let expected = json!({
        "cio_object_id": "ob1",
        "attributes": {"seats": 5},
        "people": {"1": {"role": "admin"}},
        "anonymous": {"a": {}},
    });
    assert_eq!(object, expected);
    let reply = client
        .call(
            Method::POST,
            "/api/v2/entity",
            &person("delete_relationships"),
        )
        .await;
    check_status(&reply, 200, &json!({}));
    assert!(simulator.object("1", "acme").unwrap().people.is_empty());
    let delete =
        json!({"type": "object", "action": "delete", "identifiers": {"cio_object_id": "ob1"}});
    let reply = client.call(Method::POST, "/api/v2/entity", &delete).await;
    check_status(&reply, 200, &json!({}));
    assert_eq!(simulator.object("1", "acme"), None);
}
