use std::time::Duration;

use customerio_sim::{Faults, Limit, Probability, Simulator};
use hyper::Method;
use serde_json::json;

use crate::client::Client;

#[tokio::test(start_paused = true)]
async fn totals_are_shown_and_that_request_is_neither_counted_nor_limited() {
    let simulator = Simulator::builder()
        .limit(Limit::parse("2/500ms").unwrap())
        .build();
    let mut client = Client::pipe(&simulator).await;
    for person in ["1", "2", "3"] {
        client.put(person).await;
    }
    for _ in 0..10 {
        let totals = client.get("/_sim/totals").await;
        let expected = json!({
            "requests": 3, "accepted": 2, "rejected": 0, "throttled": 1, "unauthorized": 0,
            "people": 2, "events": 0, "duplicate_events": 0, "messages": 0,
            "triggers": 0, "webhooks": 0, "webhook_failures": 0, "webhooks_dropped": 0,
            "busiest_window": 3,
            "window_us": 500_000, "gateway": 0, "resets": 0, "errors": 0,
        });
        assert_eq!(totals, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_under_sim_is_counted_or_meets_a_fault() {
    let faults = Faults::none()
        .gateway(Probability::ALWAYS)
        .latency(Duration::from_secs(1));
    let simulator = Simulator::builder().faults(faults).build();
    let mut client = Client::pipe(&simulator).await;
    for (method, path, status) in [
        (Method::GET, "/_sim/totals", 200),
        (Method::POST, "/_sim/totals", 405),
        (Method::GET, "/_sim/nothing", 404),
    ] {
        let reply = client.call(method, path, &json!(null)).await;
        assert_eq!(reply.status, status, "{path}");
    }
    assert_eq!(
        (simulator.totals().requests, simulator.totals().gateway),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn one_person_and_one_event_can_be_looked_up() {
    let simulator = Simulator::builder().build();
    let mut client = Client::pipe(&simulator).await;
    client
        .call(
            Method::PUT,
            "/api/v1/customers/a%2Fb",
            &json!({"plan": "pro"}),
        )
        .await;
    let event = json!({
        "name": "paid", "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "timestamp": 5, "data": {"sum": 3},
    });
    for _ in 0..2 {
        client
            .call(Method::POST, "/api/v1/customers/a%2Fb/events", &event)
            .await;
    }
    let person = client.get("/_sim/people/a%2Fb").await;
    assert_eq!(
        person,
        json!({
            "cio_id": "03000001", "attributes": {"plan": "pro"}, "devices": {}, "updates": 1,
            "events": 1,
        })
    );
    let event = client.get("/_sim/events/01HB4HBDKTFWYZCK01DMRSWRFD").await;
    let expected = json!({
        "name": "paid", "person": "a/b", "timestamp": 5, "attributes": {"sum": 3}, "received": 2,
    });
    assert_eq!(event, expected);
    let unknown = client
        .call(Method::GET, "/_sim/people/c", &json!(null))
        .await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()),
        (404, json!({"error": "no such record"}))
    );
}

#[tokio::test(start_paused = true)]
async fn the_trace_has_the_first_arrivals_with_their_times() {
    let simulator = Simulator::builder().trace(2).build();
    let mut client = Client::pipe(&simulator).await;
    for person in ["1", "2", "3"] {
        client.put(person).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let trace = simulator.trace();
    let arrivals: Vec<_> = trace
        .iter()
        .map(|arrival| (arrival.at.as_secs(), arrival.path.as_str(), arrival.status))
        .collect();
    assert_eq!(
        arrivals,
        [
            (0, "/api/v1/customers/1", Some(200)),
            (1, "/api/v1/customers/2", Some(200))
        ]
    );
    assert_eq!(trace[0].method, "PUT");
}
