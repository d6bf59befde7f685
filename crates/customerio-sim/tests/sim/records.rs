use std::collections::BTreeSet;
use std::time::Duration;

use customerio_sim::{Faults, Limit, Probability, Records, Simulator, Totals};
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

/// Sends requests of all kinds, and returns their statuses.
async fn statuses(simulator: &Simulator) -> Vec<u16> {
    let mut client = Client::pipe(simulator).await;
    let event = json!({"name": "paid", "id": "01HB4HBDKTFWYZCK01DMRSWRFD"});
    let identify = json!({"type": "person", "action": "identify", "identifiers": {"id": "2"}, "attributes": {}});
    let batch = json!({"batch": [identify, {"type": "robot"}]});
    let people = json!({"ids": ["1"]});
    let mut found = Vec::new();
    for (method, path, body) in [
        (Method::PUT, "/api/v1/customers/1", json!({"plan": "pro"})),
        (Method::POST, "/api/v1/customers/1/events", event.clone()),
        (Method::POST, "/api/v1/customers/1/events", event),
        (Method::POST, "/api/v1/customers/1/events", json!({})),
        (Method::POST, "/api/v2/batch", batch),
        (
            Method::POST,
            "/api/v1/events",
            json!({"name": "seen", "anonymous_id": "a"}),
        ),
        (
            Method::POST,
            "/api/v1/segments/7/add_customers",
            people.clone(),
        ),
        (Method::POST, "/api/v1/segments/8/add_customers", people),
        (
            Method::POST,
            "/api/v1/forms/f/submit",
            json!({"data": {"id": "1"}}),
        ),
    ] {
        found.push(client.call(method, path, &body).await.status.as_u16());
    }
    let message = json!({"transactional_message_id": 1, "identifiers": {"id": "1"}});
    for (path, body) in [
        ("/v1/send/push", message.clone()),
        ("/v1/send/push", message),
        ("/v1/campaigns/5/triggers", json!({"data": {"a": 1}})),
        ("/v1/campaigns/6/triggers", json!({})),
    ] {
        let reply = client.app(Method::POST, path, &body.to_string()).await;
        found.push(reply.status.as_u16());
    }
    found
}

fn with_all(records: Records) -> Simulator {
    let builder = Simulator::builder()
        .records(records)
        .segment(7)
        .broadcast(5);
    builder.trigger_limit(Limit::per_second(100)).build()
}

#[tokio::test(start_paused = true)]
async fn counts_only_answers_and_counts_as_with_all_records() {
    let (all, counts) = (with_all(Records::All), with_all(Records::CountsOnly));
    assert_eq!(statuses(&counts).await, statuses(&all).await);
    let (all, counts_only) = (all.totals(), counts.totals());
    assert_eq!((all.people, all.events, all.duplicate_events), (2, 2, 1));
    // These three are unknown without records.
    let unknown = (
        counts_only.people,
        counts_only.events,
        counts_only.duplicate_events,
    );
    assert_eq!(unknown, (0, 3, 0));
    let counts = |totals: &Totals| {
        let operations = (totals.requests, totals.accepted, totals.rejected);
        (
            operations,
            totals.messages,
            totals.triggers,
            totals.throttled,
        )
    };
    assert_eq!(counts(&all), counts(&counts_only));
}

#[tokio::test(start_paused = true)]
async fn counts_only_keeps_no_record() {
    let simulator = with_all(Records::CountsOnly);
    statuses(&simulator).await;
    assert_eq!(simulator.person("1"), None);
    assert_eq!(simulator.person("2"), None);
    assert_eq!(simulator.event("01HB4HBDKTFWYZCK01DMRSWRFD"), None);
    assert_eq!(simulator.form("f"), None);
    assert_eq!(simulator.messages(), []);
    // These two were created by the builder, and stay empty.
    assert_eq!(simulator.segment(7), Some(BTreeSet::new()));
    assert_eq!(simulator.triggers(5), Some(vec![]));
    let mut client = Client::pipe(&simulator).await;
    let status = client.app(Method::GET, "/v1/campaigns/5/triggers/1", "");
    assert_eq!(status.await.status, 404);
    let activities = client.app(Method::GET, "/v1/activities", "").await.json();
    assert_eq!(activities, json!({"activities": [], "next": ""}));
}

#[tokio::test(start_paused = true)]
async fn counts_only_accepts_a_trigger_for_people_who_may_exist() {
    let simulator = with_all(Records::CountsOnly);
    let mut client = Client::pipe(&simulator).await;
    let trigger = r#"{"ids": ["someone"]}"#;
    for id in 1..=2 {
        let reply = client.app(Method::POST, "/v1/campaigns/5/triggers", trigger);
        assert_eq!(reply.await.json(), json!({"id": id}));
    }
}

#[tokio::test(start_paused = true)]
async fn counts_only_imports_no_person() {
    let url = "https://example.com/a.csv";
    let simulator = Simulator::builder()
        .records(Records::CountsOnly)
        .import_file(url, "id,plan\n1,pro\n2,free\n")
        .build();
    let mut client = Client::pipe(&simulator).await;
    let import = json!({
        "data_file_url": url, "name": "a", "type": "people", "identifier": "id",
    });
    let import = json!({"import": import}).to_string();
    let begun = client.app(Method::POST, "/v1/imports", &import).await;
    assert_eq!(begun.status, 200);
    let status = client.app(Method::GET, "/v1/imports/1", "").await.json();
    assert_eq!(status["import"]["rows_imported"], 2);
    assert_eq!(
        (simulator.person("1"), simulator.totals().people),
        (None, 0)
    );
}
