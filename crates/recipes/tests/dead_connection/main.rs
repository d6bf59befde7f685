//! An HTTP/2 connection that died without a word takes all attempts, unless the first one to time
//! out poisons it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use recipes::server::{Network, serve_echo_after_503};
use tower::{ServiceBuilder, ServiceExt};
use tower_pace::retry::Backoff;
use tower_pace::{RetryLayer, RetryPolicy};

type BoxError = Box<dyn Error + Send + Sync>;
type HyperClient = Client<HttpConnector, Full<Bytes>>;

async fn attempt(
    client: HyperClient,
    mut request: Request<Full<Bytes>>,
    poisons: bool,
) -> Result<Response<Incoming>, BoxError> {
    let connection = capture_connection(&mut request);
    let response = tokio::time::timeout(Duration::from_secs(1), client.request(request)).await;
    if response.is_err() && poisons {
        let metadata = connection.connection_metadata();
        metadata.as_ref().expect("it has a connection").poison();
    }
    Ok(response??)
}

/// Returns the outcome of a request after the death of the connection, and the number of
/// connections.
async fn after_a_death(poisons: bool) -> (bool, usize) {
    let network = Network::to(&serve_echo_after_503().await).await;
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_only(true)
        .build_http();
    let backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(
            RetryPolicy::default().attempts(2).backoff(backoff),
        ))
        .service_fn(move |request| attempt(client.clone(), request, poisons));
    let get = || Request::get(network.url()).body(Full::default()).unwrap();
    assert_eq!(stack.clone().oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(network.connections(), 1);
    network.forget_connections();
    let response = stack.oneshot(get()).await;
    (response.is_ok(), network.connections())
}

#[tokio::test]
async fn a_timeout_alone_leaves_every_attempt_on_the_dead_connection() {
    assert_eq!(after_a_death(false).await, (false, 1));
}

#[tokio::test]
async fn an_attempt_that_poisons_its_connection_frees_the_next_one() {
    assert_eq!(after_a_death(true).await, (true, 2));
}
