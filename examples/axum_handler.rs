//! An axum handler that calls out through the three layers.
//!
//! Run it with `cargo run --example axum_handler`. It needs no network: the API behind the handler
//! is a simulator in the process, which refuses what exceeds 100 requests a second. The state is
//! cloned for every request, and a clone of the layers shares their limits: so the limit holds for
//! the whole application, however many handlers run.

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

    let mut visits = JoinSet::new();
    for id in 0..200 {
        let request = Request::post(format!("/people/{id}")).body(Body::empty())?;
        visits.spawn(app.clone().oneshot(request));
    }
    while let Some(visit) = visits.join_next().await {
        assert_eq!(visit??.status(), StatusCode::CREATED);
    }

    let books = simulator.totals();
    println!(
        "200 visits at once: {} people signed up, {} requests refused, at most {} in a second",
        books.people, books.throttled, books.busiest_window
    );
    assert_eq!(books.people, 200);
    assert_eq!(books.throttled, 0);
    Ok(())
}
