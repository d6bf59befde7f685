//! An axum handler that calls an API through the three layers.
//!
//! Run it with `cargo run --example axum_handler`. It needs no network. The API is a simulator in
//! the same process, which throttles requests over 100 per second. axum clones the state for every
//! request, and a clone of the layers shares their limits. So one limit holds for all handlers.

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::post;
use bytes::Bytes;
use customerio_sim::{Limit, Server, Simulator};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_pace::{
    Concurrency, ConcurrencyLayer, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer, RetryPolicy,
};

type HyperClient = Client<HttpConnector, Full<Bytes>>;

/// The state of the application.
#[derive(Clone)]
struct Api {
    url: String,
    client: Retry<RateLimit<Concurrency<HyperClient>>>,
}

impl Api {
    fn new(url: String) -> Self {
        let hyper_client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build_http();
        let client = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::default()))
            .layer(RateLimitLayer::new(Quota::per_second(100)))
            .layer(ConcurrencyLayer::new(8))
            .service(hyper_client);
        Self { url, client }
    }
}

async fn sign_up(State(api): State<Api>, Path(id): Path<u32>) -> Result<StatusCode, StatusCode> {
    let request = Request::put(format!("{}/api/v1/customers/{id}", api.url))
        .header("authorization", "Basic c2l0ZTprZXk=")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"plan":"trial"}"#))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let response = api.client.oneshot(request).await;
    match response.map(|response| response.status()) {
        Ok(StatusCode::OK) => Ok(StatusCode::CREATED),
        _ => Err(StatusCode::BAD_GATEWAY),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder().limit(Limit::per_second(100)).build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
    let app = Router::new()
        .route("/people/{id}", post(sign_up))
        .with_state(Api::new(server.url()));

    let mut sign_ups = JoinSet::new();
    for id in 0..200 {
        let request = Request::post(format!("/people/{id}")).body(Body::empty())?;
        sign_ups.spawn(app.clone().oneshot(request));
    }
    while let Some(response) = sign_ups.join_next().await {
        assert_eq!(response??.status(), StatusCode::CREATED);
    }

    let totals = simulator.totals();
    println!(
        "200 requests at once: {} people signed up, {} throttled, at most {} in any second",
        totals.people, totals.throttled, totals.busiest_window
    );
    assert_eq!(totals.people, 200);
    assert_eq!(totals.throttled, 0);
    Ok(())
}
