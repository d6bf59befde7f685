//! A hyper client behind the three layers.
//!
//! Run it with `cargo run --example hyper_client`. It needs no network. The server is a simulator
//! in the same process: it throttles requests over 100 per second, and its first response is 503.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use customerio_sim::{Limit, Script, Server, Simulator};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_pace::wait::BoundedWait;
use tower_pace::{Concurrency, RateLimit, Retry};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

type HyperClient = Client<HttpConnector, Full<Bytes>>;
type Stack = Retry<RateLimit<Concurrency<HyperClient>, BoundedWait>>;
type Failure = Box<dyn Error + Send + Sync>;

fn identify(url: &str, id: usize) -> http::Result<Request<Full<Bytes>>> {
    Request::put(format!("{url}/api/v1/customers/{id}"))
        .header("authorization", "Basic c2l0ZTprZXk=")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"plan":"pro"}"#))
}

/// Sends one request and reads the response to its end, which releases the permit.
async fn send(client: Stack, request: Request<Full<Bytes>>) -> Result<StatusCode, Failure> {
    let response = client.oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let simulator = Simulator::builder()
        .limit(Limit::per_second(100))
        .script(Script::new([503]))
        .build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;

    let hyper_client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build_http();

    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default())) // every attempt is rate-limited
        // The server throttles none, and none waits longer than a minute.
        .layer(RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(60)))
        .layer(ConcurrencyLayer::new(32)) // bounds the requests in flight, to the end of the body
        .service(hyper_client);

    let mut calls = JoinSet::new();
    for id in 0..200 {
        calls.spawn(send(client.clone(), identify(&server.url(), id)?));
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call??, StatusCode::OK);
    }

    let totals = simulator.totals();
    println!(
        "{} people, {} requests: {} failed, {} throttled, at most {} in any second",
        totals.people, totals.requests, totals.errors, totals.throttled, totals.busiest_window
    );
    assert_eq!(totals.people, 200);
    assert_eq!(
        (totals.requests, totals.errors),
        (201, 1),
        "the 503 was retried"
    );
    assert_eq!(totals.throttled, 0);
    Ok(())
}
