use std::time::Duration;

use bytes::Bytes;
use customerio_sim::{FailurePoint, Faults, Probability, Script, Simulator, Stall, Step};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::json;
use tokio::io::{AsyncWriteExt, duplex};

use crate::client::{Client, request};

fn put() -> Request<Full<Bytes>> {
    request(Method::PUT, "/api/v1/customers/1", &json!({}))
}

#[tokio::test(start_paused = true)]
async fn latency_delays_request_and_response_and_the_counter_is_between() {
    let faults = Faults::none().latency(Duration::from_millis(20));
    let simulator = Simulator::builder().faults(faults).trace(2).build();
    let mut client = Client::pipe(&simulator).await;
    client.put("1").await;
    client.put("2").await;
    let arrivals: Vec<_> = simulator
        .trace()
        .iter()
        .map(|arrival| arrival.at.as_millis())
        .collect();
    assert_eq!(arrivals, [20, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_script_applies_to_the_first_requests() {
    let steps = [
        Step::status(503),
        Step::status(429).retry_after(2),
        Step::gateway(),
        Step::pass(),
    ];
    let simulator = Simulator::builder().script(Script::new(steps)).build();
    let mut client = Client::pipe(&simulator).await;
    let mut replies = Vec::new();
    for person in ["1", "2", "3", "4", "5"] {
        let reply = client.put(person).await;
        replies.push((
            reply.status.as_u16(),
            reply.header("retry-after").map(str::to_owned),
        ));
    }
    assert_eq!(
        replies,
        [
            (503, None),
            (429, Some("2".into())),
            (502, None),
            (200, None),
            (200, None)
        ]
    );
    let totals = simulator.totals();
    assert_eq!(
        (
            totals.requests,
            totals.errors,
            totals.throttled,
            totals.gateway
        ),
        (4, 1, 1, 1)
    );
    assert_eq!((totals.accepted, totals.people), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_responds_with_html() {
    let mut client = Client::pipe(&Simulator::builder().script(Script::new([502])).build()).await;
    assert_eq!(
        client.put("1").await.header("content-type"),
        Some("application/json")
    );
    let faults = Faults::none().gateway(Probability::ALWAYS);
    let mut client = Client::pipe(&Simulator::builder().faults(faults).build()).await;
    let reply = client.put("1").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (502, Some("text/html"))
    );
    assert!(reply.body.starts_with(b"<html>"));
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_the_connection_before_or_after_the_effect() {
    for (point, people) in [
        (FailurePoint::BeforeEffect, 0),
        (FailurePoint::AfterEffect, 1),
    ] {
        let simulator = Simulator::builder()
            .script(Script::new([Step::reset(point)]))
            .build();
        let mut client = Client::pipe(&simulator).await;
        let error = client.send(put()).await.unwrap_err();
        assert!(error.is_incomplete_message(), "{error:?}");
        assert!(
            client.send(put()).await.is_err(),
            "the connection stays closed"
        );
        let totals = simulator.totals();
        assert_eq!(
            (totals.requests, totals.resets, totals.people),
            (1, 1, people)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_applied_after_its_client_disconnected() {
    let faults = Faults::none().latency(Duration::from_secs(1));
    let simulator = Simulator::builder().faults(faults).build();
    let (mut near, far) = duplex(1024);
    let server = tokio::spawn(customerio_sim::serve_connection(far, simulator.clone()));
    let head = "DELETE /api/v1/customers/1 HTTP/1.1\r\nhost: sim\r\n\
                authorization: Basic c2l0ZTprZXk=\r\n\r\n";
    near.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(simulator.totals().requests, 0);
    drop(near);
    server.await.unwrap();
    assert_eq!(
        (simulator.totals().requests, simulator.totals().accepted),
        (1, 1)
    );
}

/// Sends from twenty clients at once with many faults. Returns the time, path and status of each
/// arrival.
async fn arrivals(seed: u64) -> Vec<(Duration, String, Option<u16>)> {
    let probability = Probability::new(0.1).unwrap();
    let faults = Faults::none()
        .latency(Duration::from_millis(20))
        .jitter(Duration::from_millis(50))
        .stall(Stall::new(probability, Duration::from_millis(300)))
        .error(probability)
        .reset(probability)
        .gateway(probability);
    let simulator = Simulator::builder()
        .faults(faults)
        .seed(seed)
        .trace(1_000)
        .build();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..20 {
        let simulator = simulator.clone();
        clients.spawn(async move {
            for call in 0..10 {
                let path = format!("/api/v1/customers/{client}-{call}");
                let _lost = Client::pipe(&simulator)
                    .await
                    .send(request(Method::PUT, &path, &json!({})))
                    .await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
    simulator
        .trace()
        .into_iter()
        .map(|arrival| (arrival.at, arrival.path, arrival.status))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_repeats_the_same_arrivals() {
    let first = arrivals(7).await;
    assert!(first.len() > 100 && first.iter().any(|(_, _, status)| status.is_none()));
    assert_eq!(arrivals(7).await, first);
    assert_ne!(arrivals(8).await, first);
}

#[tokio::test(start_paused = true)]
async fn a_scenario_applies_its_script_and_then_changes_its_faults() {
    let scenario = r#"
        seed = 7
        limit = "100/1s"
        faults = { latency = "20ms" }

        [[change]]
        after = "10s"
        faults = { garbage = "100%" }

        [[script]]
        status = 429
        retry_after = 2

        [[script]]
        fault = "garbage"
        when = "after-effect"

        [[script]]
        fault = "none"
    "#;
    let simulator = customerio_sim::from_toml(scenario).unwrap().build();
    let mut client = Client::pipe(&simulator).await;
    let throttled = client.put("1").await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("2"))
    );
    let garbage = client.put("2").await;
    assert_eq!(
        (garbage.status.as_u16(), garbage.header("content-type")),
        (200, Some("text/html"))
    );
    assert!(simulator.person("2").is_some(), "the API has applied it");
    assert_eq!(client.put("3").await.body, "{}\n");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(client.put("4").await.body.starts_with(b"<html>"));
}

#[test]
fn the_error_of_an_invalid_scenario_names_the_line_and_shows_a_valid_value() {
    let check = |text: &str, line: usize, hint: &str| {
        let error = customerio_sim::from_toml(text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("scenario, line {line}: ")),
            "{error}"
        );
        assert!(error.contains(hint), "{error}");
    };
    check("seed = 1\nlimit = \"100\"", 2, "such as 100/1s");
    check("[faults]\nlatency = \"20\"", 2, "such as 20ms");
    check("[faults]\nlatncy = \"1%\"", 2, "unknown field `latncy`");
    check("[[change]]\nfaults = {}", 1, "after");
    check("[[script]]\nstatus = 101", 1, "from 200 to 599");
    check("[[script]]\nfault = \"lost\"", 1, "one of garbage");
    check("seed = ", 1, "");
}
