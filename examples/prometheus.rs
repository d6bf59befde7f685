//! Exports the counters of a client to Prometheus, in its text format.
//!
//! Run it with `cargo run --example prometheus`. It needs no network. The API is a simulator in the
//! same process: it throttles requests over 100 per second, and its first response is 503. No label
//! contains a person, so that the number of time series is bounded.

use std::error::Error;
use std::fmt::{Display, Write};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use customerio::client::{Client, Limits, Quota};
use customerio::{Attributes, Credentials, Person};
use customerio_sim::{Limit, Script, Simulator, Step};
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Formats one metric family: its type, its help text, and a value for each label.
fn family<V: Display>(kind: &str, name: &str, help: &str, samples: &[(&str, V)]) -> String {
    let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in samples {
        writeln!(text, "{name}{labels} {value}").expect("writing to a string cannot fail");
    }
    text
}

fn exposition(client: &Client) -> String {
    let (stats, limit) = (client.stats(), client.limit());
    let outcomes = [
        (r#"{outcome="accepted"}"#, stats.accepted),
        (r#"{outcome="not_sent"}"#, stats.not_sent),
        (r#"{outcome="rejected"}"#, stats.rejected),
        (r#"{outcome="unknown"}"#, stats.unknown),
    ];
    let counter = |name, help, value| family("counter", name, help, &[("", value)]);
    let gauge = |name, help, value| family("gauge", name, help, &[("", value)]);
    [
        family(
            "counter",
            "customerio_operations_total",
            "Operations by outcome.",
            &outcomes,
        ),
        counter(
            "customerio_requests_total",
            "Attempts that departed.",
            stats.requests,
        ),
        counter(
            "customerio_retries_total",
            "Attempts after the first.",
            stats.retries,
        ),
        counter(
            "customerio_throttled_total",
            "Responses with status 429.",
            stats.throttled,
        ),
        gauge(
            "customerio_waiting",
            "Requests in the wait queue.",
            limit.queued as f64,
        ),
        gauge(
            "customerio_rate",
            "Requests per second that the limiter allows now.",
            limit.rate(),
        ),
    ]
    .concat()
}

async fn metrics(State(client): State<Client>) -> String {
    exposition(&client)
}

async fn scrape(app: Router) -> Result<String, Box<dyn Error>> {
    let response = app
        .oneshot(Request::get("/metrics").body(Body::empty())?)
        .await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder()
        .limit(Limit::per_second(100))
        .script(Script::new([Step::status(503)]))
        .build();
    let client = Client::builder()
        .credentials(Credentials::new("site", "key")?)
        .limits(Limits::documented().ingress(Quota::per_second(100)))
        .build_with(simulator.router())?;
    let app = Router::new()
        .route("/metrics", get(metrics))
        .with_state(client.clone());

    for id in 0..20 {
        let person = Person::id(&format!("u{id}"))?;
        client.identify(&person, &Attributes::new()).await?;
    }

    let text = scrape(app).await?;
    println!("{text}");
    for line in [
        r#"customerio_operations_total{outcome="accepted"} 20"#,
        "customerio_requests_total 21",
        "customerio_retries_total 1",
        "customerio_throttled_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing");
    }
    Ok(())
}
